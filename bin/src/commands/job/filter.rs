//! The flags that choose jobs: by id, or by a filter.

use crate::{failure::Failure, times};
use leasehold::{BulkFilter, JobId, Kind, QueueName, State};
use std::time::Duration;

/// A filter instead of ids. All conditions must hold.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Instead of ids: a filter")]
pub(crate) struct FilterArgs {
    /// Only jobs of this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only jobs of this kind
    #[arg(long)]
    kind: Option<Kind>,
    #[arg(long, help = format!("Only jobs in this state: {} (repeatable)", states()))]
    state: Vec<State>,
    /// Only jobs that were enqueued at least this long ago, such as 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    older_than: Option<Duration>,
    /// Only jobs whose last error contains this text, in upper or lower case; % stands for any text
    #[arg(long, value_name = "TEXT")]
    error_like: Option<String>,
    /// Only jobs of this batch
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// Change nothing; print how many jobs would be changed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation. Required with a filter if standard input is not a terminal
    #[arg(long)]
    yes: bool,
}

/// All states, for help.
pub(super) fn states() -> String {
    State::ALL.map(State::as_str).join(", ")
}

/// The jobs that a command is about.
pub(super) enum Chosen {
    Ids(Vec<JobId>),
    Filter { filter: BulkFilter, dry_run: bool, yes: bool },
}

impl FilterArgs {
    /// The jobs of the ids or of the filter, exactly one of which must be given.
    pub(super) fn choose(self, ids: Vec<JobId>) -> Result<Chosen, Failure> {
        let Self { queue, kind, state, older_than, error_like, batch, dry_run, yes } = self;
        let filter = BulkFilter::default().with(|filter| {
            (filter.queue, filter.kind, filter.states) = (queue, kind, state);
            (filter.older_than, filter.error_like, filter.batch) = (older_than, error_like, batch);
        });
        let is_empty = filter == BulkFilter::default();
        match (ids.is_empty(), is_empty) {
            (true, true) => Err(Failure::usage(
                "name the jobs by their ids, or by a filter: --queue, --kind, --state, --older-than, --error-like or --batch",
            )),
            (false, false) => Err(Failure::usage("name the jobs by their ids or by a filter, not by both")),
            (false, true) if dry_run => Err(Failure::usage("--dry-run counts the jobs of a filter; it takes no ids")),
            (false, true) => Ok(Chosen::Ids(ids)),
            (true, false) => Ok(Chosen::Filter { filter, dry_run, yes }),
        }
    }
}
