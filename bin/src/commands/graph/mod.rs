//! `leasehold graph …`: one file per action.

mod run;
mod show;
mod submit;

pub(crate) use run::{Args, run};
