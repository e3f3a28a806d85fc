//! `leasehold job move`.

use super::places::print;
use crate::{context::Context, failure::Failure};
use leasehold::{JobId, QueueName};
use std::process::ExitCode;

/// Move waiting jobs to another queue
///
/// Each job keeps its priority and the time for which it has waited. Exit 1 if no job has one of the ids, or if one of the jobs
/// is running or has finished.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job move 0198c5a4-… --to slow")]
pub(crate) struct Args {
    /// The ids of the jobs to move
    #[arg(required = true)]
    ids: Vec<JobId>,
    /// The queue to move the jobs to
    #[arg(long, value_name = "QUEUE")]
    to: QueueName,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let answers = client.move_to(&args.ids, &args.to).await.map_err(|error| context.failure(&error))?;
    print(&args.ids, &answers, &format!("in {}", args.to), context)
}
