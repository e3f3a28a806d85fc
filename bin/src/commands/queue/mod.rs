//! `leasehold queue …`.

mod pause;
mod run;
mod set;
mod weight;

pub(crate) use run::{Args, run};
