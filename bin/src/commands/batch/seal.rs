//! `leasehold batch seal`.

use super::named::{checked, existing, unknown};
use crate::{
    context::Context,
    failure::Failure,
    output::{self, batches},
};
use leasehold::{BatchSeal, Kind, QueueName, Sealed};
use std::process::ExitCode;

/// Seal a batch: no job can be added any more, and callbacks are enqueued when its jobs have ended
///
/// Each callback is one job, enqueued once. Its payload has the name of the batch (`batch`), the event (`event`: success, complete
/// or death), and, when all jobs have ended, their numbers (`succeeded`, `dead`, `cancelled`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the batch
    name: String,
    /// The kind of the job that is enqueued when all jobs have succeeded
    #[arg(long, value_name = "KIND")]
    on_success: Option<Kind>,
    /// The kind of the job that is enqueued when all jobs have ended, however they ended
    #[arg(long, value_name = "KIND")]
    on_complete: Option<Kind>,
    /// The kind of the job that is enqueued when the first job is dead
    #[arg(long, value_name = "KIND")]
    on_death: Option<Kind>,
    /// The queue of these jobs
    #[arg(long, default_value = "default")]
    queue: QueueName,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    checked(&args.name)?;
    let client = context.client().await?;
    let seal = BatchSeal::default().queue(args.queue).with(|seal| {
        (seal.on_success, seal.on_complete, seal.on_death) = (args.on_success, args.on_complete, args.on_death);
    });
    match client.seal_batch(&args.name, &seal).await.map_err(|error| context.failure(&error))? {
        Sealed::Now | Sealed::Already => {}
        Sealed::Unknown => return Err(unknown(&args.name)),
        Sealed::Otherwise => {
            return Err(Failure::new(format!(
                "the batch {:?} is sealed already, with other callbacks; nothing was changed",
                args.name
            )));
        }
    }
    let batch = existing(&client, &args.name, context).await?;
    output::either(context.json, &batches::json(&batch), || batches::card(&batch))?;
    Ok(ExitCode::SUCCESS)
}
