//! `leasehold job …`: one file per action.

mod bulk;
mod cancel;
mod errors;
mod explain;
mod filter;
mod ids;
mod list;
mod move_to;
mod pace;
mod places;
mod priority;
mod rate;
mod retry;
mod run;
mod show;
mod wait;
mod watch;

pub(crate) use run::{Args, run};
