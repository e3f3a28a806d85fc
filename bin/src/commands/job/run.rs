//! `leasehold job`: dispatches to the actions.

use super::{cancel, errors, explain, list, move_to, priority, retry, show, wait, watch};
use crate::{context::Context, failure::Failure};
use clap::Subcommand;
use std::process::ExitCode;

/// Show jobs, wait for them, cancel and retry them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Args),
    List(list::Args),
    Errors(errors::Args),
    Wait(wait::Args),
    Watch(watch::Args),
    Cancel(cancel::Args),
    Retry(retry::Args),
    Priority(priority::Args),
    Move(move_to::Args),
    Explain(explain::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Show(args) => show::run(&args, context).await,
        Action::List(args) => list::run(args, context).await,
        Action::Errors(args) => errors::run(args, context).await,
        Action::Wait(args) => wait::run(args, context).await,
        Action::Watch(args) => watch::run(&args, context).await,
        Action::Cancel(args) => cancel::run(args, context).await,
        Action::Retry(args) => retry::run(args, context).await,
        Action::Priority(args) => priority::run(args, context).await,
        Action::Move(args) => move_to::run(args, context).await,
        Action::Explain(args) => explain::run(&args, context).await,
    }
}
