//! `leasehold batch show`.

use super::named::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, batches},
};
use std::process::ExitCode;

/// Show a batch: its jobs by state, its progress, its callbacks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the batch
    name: String,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let batch = existing(&client, &args.name, context).await?;
    output::either(context.json, &batches::json(&batch), || batches::card(&batch))?;
    Ok(ExitCode::SUCCESS)
}
