//! `leasehold batch list`.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, batches},
};
use std::process::ExitCode;

/// List batches, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// At most this many batches
    #[arg(long, default_value_t = 20, value_parser = numbers::within::<i64>(1..=1000))]
    limit: i64,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let found = client.batches(args.limit).await.map_err(|error| context.failure(&error))?;
    let json: Vec<_> = found.iter().map(batches::json).collect();
    output::either(context.json, &json, || batches::list(&found))?;
    Ok(ExitCode::SUCCESS)
}
