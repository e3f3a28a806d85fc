//! `leasehold batch`: dispatches to the actions.

use super::{cancel, list, seal, show, wait};
use crate::{context::Context, failure::Failure};
use clap::Subcommand;
use std::process::ExitCode;

/// Groups of jobs by name: counts, progress, callbacks
///
/// The first job that is enqueued with --batch NAME makes the batch. `leasehold each` makes a batch too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold enqueue --stdin --batch import-7 < jobs.ndjson
  # one job of the kind report, when all jobs have ended
  leasehold batch seal import-7 --on-complete report
  leasehold batch wait import-7 && echo 'all succeeded'
  leasehold job list --batch import-7 --state dead")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Args),
    List(list::Args),
    Wait(wait::Args),
    Cancel(cancel::Args),
    Seal(seal::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Show(args) => show::run(&args, context).await,
        Action::List(args) => list::run(&args, context).await,
        Action::Wait(args) => wait::run(&args, context).await,
        Action::Cancel(args) => cancel::run(&args, context).await,
        Action::Seal(args) => seal::run(args, context).await,
    }
}
