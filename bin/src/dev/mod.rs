//! `leasehold dev`: everything on one machine. A private PostgreSQL and Redis where no URL says otherwise, the
//! schema, a reaper and worker processes; stopped in order by Ctrl-C, and gone with this process if it is killed.
//!
//! The reaper and the workers are this same program, run as anyone would run them: nothing works only here.

mod args;
mod banner;
mod fleet;
mod member;
mod run;
mod servers;
mod settings_file;
mod undertaker;

pub(crate) use args::Args;
pub(crate) use run::run;
