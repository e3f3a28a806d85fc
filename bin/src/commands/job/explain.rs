//! `leasehold job explain`: gathers the facts; what they mean is decided in `explain.rs`.

use super::run::existing;
use crate::{
    context::Context,
    explain::{Explanation, Facts, POSITION_LIMIT},
    failure::Failure,
    output::{self, explanation},
};
use leasehold::{JobId, State, Store};
use std::process::ExitCode;

/// Say why a job is where it is, and what it waits for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job explain 0198c5a4-…")]
pub(crate) struct Args {
    /// Its id
    id: JobId,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let explained = Explanation::of(&gather(&store, args.id, context).await?);
    output::either(context.json, &explained, || explanation::as_text(&explained))?;
    Ok(ExitCode::SUCCESS)
}

async fn gather(store: &Store, id: JobId, context: &Context) -> Result<Facts, Failure> {
    let job = existing(store, id, context).await?;
    let paused = store.paused().await.map_err(|error| context.store_failure(error))?;
    let position = match job.state {
        State::Queued => store.position(id, POSITION_LIMIT).await.map_err(|error| context.store_failure(error))?,
        _ => None,
    };
    // Only Redis knows which workers live. Without it the rest can still be told.
    let workers = match context.handoff().await {
        Ok(handoff) => handoff.workers().await.map_err(|error| context.config.explain_handoff(&error)),
        Err(failure) => Err(failure.to_string()),
    };
    Ok(Facts { paused: paused.iter().any(|queue| queue.as_str() == job.queue), job, position, workers })
}
