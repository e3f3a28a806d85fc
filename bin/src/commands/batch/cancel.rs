//! `leasehold batch cancel`.

use super::run::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
};
use serde_json::json;
use std::process::ExitCode;

/// Cancel all live jobs of a batch: waiting jobs at once, running jobs when their workers have stopped them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the batch
    name: String,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    existing(&client, &args.name, context).await?;
    let (cancelled, told) = client.cancel_batch(&args.name).await.map_err(|error| context.failure(&error))?;
    output::either(context.json, &json!({"cancelled": cancelled, "stopping": told}), || {
        format!("cancelled {}; {} told to stop", human::count(cancelled, "job", "jobs"), human::grouped(told))
    })?;
    Ok(ExitCode::SUCCESS)
}
