//! `leasehold graph`: dispatches to the actions.

use super::{show, submit};
use crate::{context::Context, failure::Failure};
use clap::Subcommand;
use std::process::ExitCode;

/// Enqueue jobs that depend on each other, and draw them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold graph submit pipeline.json
  # the jobs around this job, as a tree
  leasehold graph show 01976f0e-…
  # as a diagram for Markdown
  leasehold graph show 01976f0e-… --mermaid")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Submit(submit::Args),
    Show(show::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Submit(args) => submit::run(&args, context).await,
        Action::Show(args) => show::run(&args, context).await,
    }
}
