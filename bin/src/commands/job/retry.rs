//! `leasehold job retry`.

use super::ids::{finish, no_such_job};
use crate::{context::Context, failure::Failure, output};
use leasehold::JobId;
use serde_json::json;
use std::process::ExitCode;

/// Put finished jobs back into the line with a new budget of attempts, and scheduled ones at once
///
/// Exit 1 if an id is of no job, or its job is waiting or running already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job retry 0198c5a4-…
  leasehold job list --state dead --json | jq -r '.[].id' | xargs leasehold job retry")]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<JobId>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let revived = client.revive(&args.ids).await.map_err(|error| context.failure(&error))?;
    let mut failed = false;
    let mut missing = Vec::new();
    for id in &args.ids {
        let changed = revived.iter().any(|job| job.id == *id);
        let (state, said) = if changed {
            (leasehold::State::Queued, "back in the line".to_owned())
        } else {
            let Some(job) = client.job(*id).await.map_err(|error| context.failure(&error))? else {
                missing.push(no_such_job(*id));
                continue;
            };
            failed = true;
            (job.state, format!("unchanged: it is {}", job.state))
        };
        if context.json {
            output::json_lines(&[json!({ "id": id, "state": state, "changed": changed })])?;
        } else {
            output::line(&format!("{id}  {said}"))?;
        }
    }
    finish(missing, failed)
}
