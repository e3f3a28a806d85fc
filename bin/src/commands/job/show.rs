//! `leasehold job show`.

use super::ids::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, jobs},
};
use leasehold::JobId;
use std::process::ExitCode;

/// Show everything about one job
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job show 0198c5a4-…
  leasehold job show 0198c5a4-… --json | jq .result")]
pub(crate) struct Args {
    /// Its id
    id: JobId,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let job = existing(&context.store().await?, args.id, context).await?;
    output::either(context.json, &job, || jobs::card(&job))?;
    Ok(ExitCode::SUCCESS)
}
