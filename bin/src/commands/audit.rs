//! `leasehold audit`: prints the log of manual changes.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, audit},
    times,
};
use clap::Subcommand;
use std::{process::ExitCode, time::Duration};

/// Who has changed what by hand: pauses, purges, changes of many jobs, limits, weights, schedules, tokens
///
/// A row is written before the change, by the command line and by `leasehold api`. Rows are kept for 400 days. Nobody but the owner of
/// the schema can change or delete them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold audit list
  leasehold audit list --since 24h --json

The actor is token:ID for a token, http for a server without tokens, and cli:USER for a user of the database.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the changes, the newest first
    List {
        /// Only changes within this time, such as 24h
        #[arg(long, value_name = "TIME", value_parser = times::duration)]
        since: Option<Duration>,
        /// At most this many changes
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = numbers::within::<i64>(1..=100_000))]
        limit: i64,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let Action::List { since, limit } = args.action;
    let found = context.store().await?.audit(since, limit).await.map_err(|error| context.store_failure(error))?;
    output::either(context.json, &found, || audit::list(&found))?;
    Ok(ExitCode::SUCCESS)
}
