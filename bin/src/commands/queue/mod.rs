//! `leasehold queue …`.

mod run;
mod set;

pub(crate) use run::{Args, run};
