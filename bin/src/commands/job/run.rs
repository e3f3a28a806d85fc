//! `leasehold job`: to its actions.

use super::{cancel, explain, list, retry, show, wait};
use crate::{context::Context, failure::Failure};
use clap::Subcommand;
use leasehold::{JobId, JobRecord, Store};
use std::process::ExitCode;

/// Look at jobs, wait for them, cancel and retry them
#[derive(Debug, clap::Args)]
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
    Retry(retry::Args),
    Explain(explain::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Show(args) => show::run(&args, context).await,
        Action::List(args) => list::run(args, context).await,
        Action::Wait(args) => wait::run(args, context).await,
        Action::Cancel(args) => cancel::run(&args, context).await,
        Action::Retry(args) => retry::run(&args, context).await,
        Action::Explain(args) => explain::run(&args, context).await,
    }
}

/// The job of an id, or that there is none.
pub(super) async fn existing(store: &Store, id: JobId, context: &Context) -> Result<JobRecord, Failure> {
    let job = store.job(id).await.map_err(|error| context.store_failure(error))?;
    job.ok_or_else(|| no_such_job(id))
}

pub(super) fn no_such_job(id: JobId) -> Failure {
    Failure::new(format!("no job has the id {id}; `leasehold job list` shows the newest"))
}
