//! The arguments of `leasehold dev`.

use crate::{
    addresses::address,
    commands::served::{self, PassEnv},
    numbers,
};
use leasehold_worker::Exec;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Run everything on this machine: servers, schema, HTTP interface, reaper and workers
///
/// Starts a private PostgreSQL or Redis where no URL is set, on a free port of 127.0.0.1, with the data in one folder.
/// Ctrl-C, TERM or HUP stops everything and lets running jobs finish for worker.grace_ms; a second signal does not
/// wait. The data stay for the next start.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold dev
  leasehold dev --workers 4 --queue images=8 --exec 'resize=./resize.sh'
  leasehold dev --data-dir /var/tmp/leasehold

While it runs, other commands find its servers: in the same folder by themselves, elsewhere with \
--config DIR/leasehold.toml.")]
pub(crate) struct Args {
    /// The number of worker processes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = numbers::within::<u16>(0..=256))]
    pub(super) workers: u16,
    /// The folder for data, logs and secrets
    #[arg(long, value_name = "DIR", default_value = ".leasehold")]
    pub(super) data_dir: PathBuf,
    /// Where the HTTP interface listens, such as 127.0.0.1:8080 [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) listen: Option<SocketAddr>,
    /// A queue that every worker serves, and how many of its jobs each worker runs at once [default: the queue
    /// `default`, one job per CPU] (repeatable)
    #[arg(long = "queue", value_name = "NAME[=SLOTS]", value_parser = queue)]
    pub(super) queues: Vec<String>,
    /// The command for jobs of a kind, or of every other kind with `*=…` (repeatable)
    #[arg(long = "exec", value_name = "KIND=COMMAND", value_parser = exec)]
    pub(super) exec: Vec<String>,
    #[command(flatten)]
    pub(super) pass_env: PassEnv,
}

// The workers parse these arguments again. They are checked here so that a mistake is reported before a server starts.

fn queue(text: &str) -> Result<String, String> {
    served::queue_and_slots(text).map(|_| text.to_owned())
}

fn exec(text: &str) -> Result<String, String> {
    let (_, command) = served::kind_and_command(text)?;
    Exec::shell(&command, Duration::ZERO).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
