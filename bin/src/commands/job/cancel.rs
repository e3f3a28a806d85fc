//! `leasehold job cancel`.

use super::{
    bulk::{self, Order},
    filter::{Chosen, FilterArgs},
    ids::{finish, no_such_job},
};
use crate::{context::Context, failure::Failure, output};
use leasehold::{BulkAction, JobId, State};
use serde_json::json;
use std::process::ExitCode;

/// Cancel jobs
///
/// A waiting job is cancelled immediately. A running job is told to stop, and is cancelled when it has stopped. Exit 1 if one of
/// the ids is unknown, or if one of the jobs had already finished. With a filter, the jobs that were enqueued before the start of the
/// command are cancelled in short transactions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job cancel 0198c5a4-…
  leasehold job cancel --queue mail --older-than 2d --dry-run
  leasehold job cancel --kind report --state queued --yes")]
pub(crate) struct Args {
    /// The ids of the jobs to cancel
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.filter.choose(args.ids)? {
        Chosen::Ids(ids) => by_id(&ids, context).await,
        Chosen::Filter { filter, dry_run, yes } => {
            bulk::run(Order { action: BulkAction::Cancel, filter, dry_run, yes, rate: None }, context).await
        }
    }
}

async fn by_id(ids: &[JobId], context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let mut failed = false;
    let mut unchanged = Vec::new();
    for id in ids {
        // The jobs are cancelled one by one: a locked job does not block the other jobs, and each answer is shown.
        let answer = match client.cancel(&[*id]).await {
            Ok(answers) => answers.into_iter().next(),
            Err(leasehold::Error::Store(error)) if error.may_be_locked() => {
                unchanged.push(context.failure(&leasehold::Error::Store(error)));
                continue;
            }
            Err(error) => return Err(context.failure(&error)),
        };
        let Some(answer) = answer else {
            unchanged.push(no_such_job(*id));
            continue;
        };
        let said = match answer.state {
            State::Running => "its worker is told to stop".to_owned(),
            State::Cancelled if answer.changed => "cancelled".to_owned(),
            state => {
                failed = true;
                format!("unchanged: the job had already finished ({state})")
            }
        };
        if context.json {
            output::json_lines(&[json!({ "id": id, "state": answer.state, "changed": answer.changed })])?;
        } else {
            output::line(&format!("{id}  {said}"))?;
        }
    }
    finish(unchanged, failed)
}
