//! `leasehold job show`.

use super::ids::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, jobs},
};
use leasehold::JobId;
use serde_json::json;
use std::process::ExitCode;

/// Show everything about one job
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job show 0198c5a4-…
  leasehold job show 0198c5a4-… --json | jq .result")]
pub(crate) struct Args {
    /// The id of the job to show
    id: JobId,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let job = existing(&store, args.id, context).await?;
    let letters = store.dead_letters(args.id).await.map_err(|error| context.store_failure(error))?;
    let mut answer = serde_json::to_value(&job).map_err(|error| Failure::new(error.to_string()))?;
    answer["dead_letters"] = json!(letters);
    output::either(context.json, &answer, || jobs::card(&job) + &jobs::letters(&job, &letters))?;
    Ok(ExitCode::SUCCESS)
}
