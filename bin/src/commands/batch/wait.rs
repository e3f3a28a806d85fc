//! `leasehold batch wait`.

use super::named::{existing, unknown};
use crate::{
    context::Context,
    failure::Failure,
    output::{self, batches},
    signals, times,
};
use std::{process::ExitCode, time::Duration};

/// Wait until no job of a batch is live, and print how the jobs ended
///
/// Seal the batch first if jobs may still be added: the wait then also covers the callbacks, which are enqueued when it ends. Exit
/// 0 if all jobs succeeded; exit 1 if a job is dead or was cancelled, or if the time is over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the batch
    name: String,
    /// How long to wait, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    timeout: Option<Duration>,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let client = context.client().await?;
    existing(&client, &args.name, context).await?;
    let waited = tokio::select! {
        waited = client.wait_batch(&args.name, args.timeout.unwrap_or(times::FOR_EVER)) => waited,
        () = stop.soon.cancelled() => {
            return Err(Failure::new("stopped waiting; the jobs continue, and `leasehold batch wait` can be run again"));
        }
    };
    let batch = waited.map_err(|error| context.failure(&error))?.ok_or_else(|| unknown(&args.name))?;
    output::either(context.json, &batches::json(&batch), || batches::ends(&batch))?;
    Ok(if batch.dead + batch.cancelled == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
