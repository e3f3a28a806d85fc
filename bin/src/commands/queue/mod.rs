//! `leasehold queue …`.

mod pause;
mod run;
mod scale;
mod set;
mod times;
mod weight;

pub(crate) use run::{Args, run};
