//! `leasehold job list`.

use super::{filter::states, ids::existing};
use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, jobs},
};
use leasehold::{JobId, Kind, QueueName, State};
use leasehold_store::JobFilter;
use std::process::ExitCode;

/// List jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job list --state dead
  leasehold job list --queue mail --limit 100 --json
  leasehold job list --state dead --json | jq -r '.[].id' \\
    | xargs leasehold job retry")]
pub(crate) struct Args {
    /// Only jobs of this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only jobs of this kind
    #[arg(long)]
    kind: Option<Kind>,
    #[arg(long, help = format!("Only jobs in this state: {}", states()))]
    state: Option<State>,
    /// Only jobs of this batch
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// At most this many jobs
    #[arg(long, default_value_t = 20, value_parser = numbers::within::<i64>(1..=1000))]
    limit: i64,
    /// Show the jobs that follow the job with this id: the next page
    #[arg(long, value_name = "ID")]
    before: Option<JobId>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let filter = JobFilter {
        queue: args.queue,
        kind: args.kind,
        state: args.state,
        batch: args.batch,
        before: args.before,
        limit: args.limit,
    };
    let found = store.jobs(&filter).await.map_err(|error| context.store_failure(error))?;
    if let Some(before) = filter.before
        && found.is_empty()
    {
        existing(&store, before, context).await?;
    }
    output::either(context.json, &found, || jobs::list(&found))?;
    if let Some(last) = found.last()
        && i64::try_from(found.len()) == Ok(args.limit)
    {
        output::note(&format!("more may follow: --before {}", last.id));
    }
    Ok(ExitCode::SUCCESS)
}
