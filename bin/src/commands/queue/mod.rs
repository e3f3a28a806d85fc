//! `leasehold queue …`.

mod pause;
mod run;
mod set;

pub(crate) use run::{Args, run};
