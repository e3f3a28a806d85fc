//! `leasehold job …`: one file per action.

mod cancel;
mod explain;
mod ids;
mod list;
mod move_to;
mod places;
mod priority;
mod retry;
mod run;
mod show;
mod wait;

pub(crate) use run::{Args, run};
