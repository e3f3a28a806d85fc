//! `leasehold job explain`.

use super::ids::no_such_job;
use crate::{context::Context, failure::Failure, output};
use leasehold::JobId;
use std::process::ExitCode;

/// Print why a job is where it is, and what the job waits for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job explain 0198c5a4-…")]
pub(crate) struct Args {
    /// The id of the job
    id: JobId,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let explained = client.explain(args.id).await.map_err(|error| context.failure(&error))?;
    let explained = explained.ok_or_else(|| no_such_job(args.id))?;
    output::either(context.json, &explained, || explained.to_string())?;
    Ok(ExitCode::SUCCESS)
}
