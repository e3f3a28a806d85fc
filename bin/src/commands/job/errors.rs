//! `leasehold job errors`.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, errors},
    times,
};
use chrono::Utc;
use leasehold::{Kind, QueueName};
use leasehold_store::DeadFilter;
use std::{process::ExitCode, time::Duration};

/// Group the errors of dead jobs, the most frequent first
///
/// Jobs of one kind whose errors differ only in numbers, UUIDs and line breaks are one group. The text of a group has % in place
/// of them, and can be given to --error-like of `leasehold job retry`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job errors --since 24h
  leasehold job errors --queue mail --json
  leasehold job retry --queue mail \\
    --error-like 'connection refused by %.%.%.%' --rate 10/s --yes")]
pub(crate) struct Args {
    /// Only jobs of this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only jobs of this kind
    #[arg(long)]
    kind: Option<Kind>,
    /// Only jobs that died within this time, such as 24h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    since: Option<Duration>,
    /// At most this many groups
    #[arg(long, default_value_t = 20, value_parser = numbers::within::<i64>(1..=1000))]
    limit: i64,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let since = match args.since {
        Some(since) => {
            let now = store.uptime().await.map_or_else(|_| Utc::now(), |uptime| uptime.now);
            let since = chrono::TimeDelta::from_std(since).ok().and_then(|since| now.checked_sub_signed(since));
            since.filter(|since| *since > chrono::DateTime::UNIX_EPOCH)
        }
        None => None,
    };
    let filter = DeadFilter { queue: args.queue, kind: args.kind, since, limit: args.limit };
    let found = store.dead_errors(&filter).await.map_err(|error| context.store_failure(error))?;
    output::either(context.json, &found.groups, || errors::list(&found.groups))?;
    if found.more {
        output::note("many jobs are dead: only the newest were counted; --queue, --kind or --since choose fewer");
    }
    Ok(ExitCode::SUCCESS)
}
