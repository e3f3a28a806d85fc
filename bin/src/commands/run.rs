//! From the arguments to the command.

use crate::{
    args::{Cli, Command},
    commands::{completions, config, migrate},
    context::Context,
    failure::Failure,
};
use std::process::ExitCode;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // Needs no settings, and must work where they are broken.
    if let Command::Completions(args) = &cli.command {
        return completions::run(args);
    }
    let context = Context::load(cli.globals)?;
    match cli.command {
        Command::Migrate(args) => migrate::run(args, &context).await,
        Command::Config(args) => config::run(&args, &context),
        Command::Completions(args) => completions::run(&args),
    }
}
