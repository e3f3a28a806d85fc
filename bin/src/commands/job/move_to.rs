//! `leasehold job move`.

use super::{
    bulk::{self, Order},
    filter::{Chosen, FilterArgs},
    places::print,
};
use crate::{context::Context, failure::Failure};
use leasehold::{BulkAction, JobId, Place, QueueName};
use std::process::ExitCode;

/// Move waiting jobs to another queue
///
/// Each job keeps its priority and the time for which it has waited. Exit 1 if one of the ids is unknown, or if one of the jobs
/// is running or has finished.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job move 0198c5a4-… --to slow
  leasehold job move --queue mail --kind newsletter --to slow --yes")]
pub(crate) struct Args {
    /// The ids of the jobs to move
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// The queue to move the jobs to
    #[arg(long, value_name = "QUEUE")]
    to: QueueName,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let to = args.to;
    let ids = match args.filter.choose(args.ids)? {
        Chosen::Ids(ids) => ids,
        Chosen::Filter { filter, dry_run, yes } => {
            let action = BulkAction::Place(Place::Queue(to));
            return bulk::run(Order { action, filter, dry_run, yes, rate: None }, context).await;
        }
    };
    let client = context.client().await?;
    let answers = client.move_to(&ids, &to).await.map_err(|error| context.failure(&error))?;
    print(&ids, &answers, &format!("in {to}"), context)
}
