//! `leasehold batch cancel`.

use super::named::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
};
use leasehold::CancelledBatch;
use serde_json::json;
use std::process::ExitCode;

/// Cancel all live jobs of a batch: waiting jobs immediately, running jobs when their workers have stopped them
///
/// Exit 1 if open transactions of other sessions hold some of the jobs. These stay as they are; all others are cancelled.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the batch
    name: String,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    existing(&client, &args.name, context).await?;
    context.audit(client.store(), "batch.cancel", &args.name, json!({})).await?;
    let done = client.cancel_free_of_batch(&args.name).await.map_err(|error| context.failure(&error))?;
    let CancelledBatch { cancelled, stopping, locked, .. } = done;
    output::either(
        context.json,
        &json!({"cancelled": cancelled, "stopping": stopping, "locked": locked.len()}),
        || format!("cancelled {}; {} told to stop", human::count(cancelled, "job", "jobs"), human::grouped(stopping)),
    )?;
    let Some(first) = locked.first() else { return Ok(ExitCode::SUCCESS) };
    let jobs = human::count(locked.len() as u64, "job was", "jobs were");
    Err(Failure::new(format!("{jobs} not cancelled: {first}; run the command again when it has ended")))
}
