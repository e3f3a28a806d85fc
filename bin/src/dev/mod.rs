//! `leasehold dev`: everything on one machine. A private PostgreSQL and Redis where no URL is set, the schema, a reaper, the
//! HTTP server and worker processes. Ctrl-C stops all of them in order; if this process is killed, they end too.
//!
//! These processes are the same program with ordinary arguments: They have no special code paths for `dev`.

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
