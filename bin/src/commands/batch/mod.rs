//! `leasehold batch …`: one file per action.

mod cancel;
mod list;
mod named;
mod run;
mod seal;
mod show;
mod wait;

pub(crate) use run::{Args, run};
