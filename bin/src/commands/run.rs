//! From the arguments to the command.

use crate::{
    args::{Cli, Command},
    commands::{bench, completions, config, doctor, each, enqueue, job, migrate, queue, reaper, stats, worker},
    context::Context,
    dev,
    failure::Failure,
    logging::Log,
};
use std::process::ExitCode;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // Needs no settings, and must work where they are broken.
    if let Command::Completions(args) = &cli.command {
        return completions::run(args);
    }
    let context = match &cli.command {
        Command::Dev(_) => Context::load_apart(cli.globals)?,
        Command::Worker(_) | Command::Reaper(_) => Context::load(cli.globals, Log::AsSet)?,
        _ => Context::load(cli.globals, Log::Quiet)?,
    };
    match cli.command {
        Command::Dev(args) => dev::run(args, context).await,
        Command::Migrate(args) => migrate::run(args, &context).await,
        Command::Worker(args) => worker::run(args, &context).await,
        Command::Reaper(args) => reaper::run(args, &context).await,
        Command::Enqueue(args) => enqueue::run(args, &context).await,
        Command::Each(args) => each::run(args, &context).await,
        Command::Job(args) => job::run(args, &context).await,
        Command::Queue(args) => queue::run(args, &context).await,
        Command::Stats(args) => stats::run(args, &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Bench(args) => bench::run(args, &context).await,
        Command::Config(args) => config::run(&args, &context),
        Command::Completions(args) => completions::run(&args),
    }
}
