//! `leasehold schedule …`: `set` has its own file because of its flags.

mod named;
mod run;
mod set;

pub(crate) use run::{Args, run};
