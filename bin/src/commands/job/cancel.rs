//! `leasehold job cancel`.

use super::ids::{finish, no_such_job};
use crate::{context::Context, failure::Failure, output};
use leasehold::{JobId, State};
use serde_json::json;
use std::process::ExitCode;

/// Cancel jobs
///
/// A job that waits is cancelled at once. A running one is told to stop and is cancelled when it has. Exit 1 if an
/// id is of no job, or its job had finished already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job cancel 0198c5a4-…")]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<JobId>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let answers = client.cancel(&args.ids).await.map_err(|error| context.failure(&error))?;
    let mut failed = false;
    let mut missing = Vec::new();
    for id in &args.ids {
        let Some(answer) = answers.iter().find(|answer| answer.id == *id) else {
            missing.push(no_such_job(*id));
            continue;
        };
        let said = match answer.state {
            State::Running => "its worker is told to stop".to_owned(),
            State::Cancelled if answer.changed => "cancelled".to_owned(),
            state => {
                failed = true;
                format!("unchanged: it had finished already ({state})")
            }
        };
        if context.json {
            output::json_lines(&[json!({ "id": id, "state": answer.state, "changed": answer.changed })])?;
        } else {
            output::line(&format!("{id}  {said}"))?;
        }
    }
    finish(missing, failed)
}
