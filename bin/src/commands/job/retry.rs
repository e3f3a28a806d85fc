//! `leasehold job retry`.

use super::{
    bulk::{self, Order},
    filter::{Chosen, FilterArgs},
    ids::{finish, no_such_job},
    rate::Rate,
};
use crate::{context::Context, failure::Failure, output};
use leasehold::{BulkAction, JobId};
use serde_json::json;
use std::process::ExitCode;

/// Put finished jobs back into the line with all their attempts, and let scheduled jobs start now
///
/// Exit 1 if one of the ids is unknown, or if one of the jobs is already waiting or running. A filter chooses dead jobs, unless
/// --state names cancelled or scheduled. A job stays as it is if a live job has the same unique key; then the exit code is 1 too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job retry 0198c5a4-…
  leasehold job retry --queue mail --error-like 'connection refused' --dry-run
  leasehold job retry --kind resize --rate 10/s --yes
  # all retries of the queue now
  leasehold job retry --queue mail --state scheduled --yes")]
pub(crate) struct Args {
    /// The ids of the jobs to put back
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// With a filter: put back at most this many jobs per second, minute or hour, such as 10/s, 100/m or 5000/h
    #[arg(long)]
    rate: Option<Rate>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.filter.choose(args.ids)? {
        Chosen::Ids(_) if args.rate.is_some() => Err(Failure::usage("--rate needs a filter; it takes no ids")),
        Chosen::Ids(ids) => by_id(&ids, context).await,
        Chosen::Filter { filter, dry_run, yes } => {
            bulk::run(Order { action: BulkAction::Retry, filter, dry_run, yes, rate: args.rate }, context).await
        }
    }
}

async fn by_id(ids: &[JobId], context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let revived = client.revive(ids).await.map_err(|error| context.failure(&error))?;
    let mut failed = false;
    let mut missing = Vec::new();
    for id in ids {
        let changed = revived.iter().any(|job| job.id == *id);
        let (state, said) = if changed {
            (leasehold::State::Queued, "back in the line".to_owned())
        } else {
            let Some(job) = client.job(*id).await.map_err(|error| context.failure(&error))? else {
                missing.push(no_such_job(*id));
                continue;
            };
            failed = true;
            (job.state, format!("unchanged: the job is {}", job.state))
        };
        if context.json {
            output::json_lines(&[json!({ "id": id, "state": state, "changed": changed })])?;
        } else {
            output::line(&format!("{id}  {said}"))?;
        }
    }
    finish(missing, failed)
}
