//! `leasehold job …`: one file per action.

mod cancel;
mod explain;
mod list;
mod retry;
mod run;
mod show;
mod wait;

pub(crate) use run::{Args, run};
