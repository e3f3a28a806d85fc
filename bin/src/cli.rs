//! The command line: all commands, their common arguments, and the dispatch from arguments to a command.

use crate::{
    commands::{
        api, batch, bench, completions, config, doctor, each, enqueue, graph, job, limit, migrate, queue, reaper,
        schedule, stats, watch, worker,
    },
    context::Context,
    dev,
    failure::Failure,
    globals::Globals,
    logging::Log,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// A job queue: every job is a row in PostgreSQL, and Redis hands the jobs out fast
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Settings come from leasehold.toml, LEASEHOLD_… variables and flags; `leasehold config` lists all settings.
For passwords: LEASEHOLD_…_FILE names a file that holds the value of the variable LEASEHOLD_…."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::Args),
    Migrate(migrate::Args),
    Worker(worker::Args),
    Reaper(reaper::Args),
    Api(api::Args),
    Enqueue(Box<enqueue::Args>),
    Each(each::Args),
    Watch(watch::Args),
    Job(job::Args),
    Queue(queue::Args),
    Schedule(schedule::Args),
    Graph(graph::Args),
    Limit(limit::Args),
    Batch(batch::Args),
    Stats(stats::Args),
    Top(stats::TopArgs),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Config(config::Args),
    Completions(completions::Args),
}

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // Completions need no settings, and must work even if the settings are broken.
    if let Command::Completions(args) = &cli.command {
        return completions::run(args, Cli::command());
    }
    let context = match &cli.command {
        Command::Dev(_) => Context::load_apart(cli.globals)?,
        Command::Worker(_) | Command::Reaper(_) | Command::Api(_) | Command::Watch(_) => {
            Context::load(cli.globals, Log::AsSet)?
        }
        _ => Context::load(cli.globals, Log::Quiet)?,
    };
    match cli.command {
        Command::Dev(args) => dev::run(args, context).await,
        Command::Migrate(args) => migrate::run(args, &context).await,
        Command::Worker(args) => worker::run(args, &context).await,
        Command::Reaper(args) => reaper::run(args, &context).await,
        Command::Api(args) => api::run(args, &context).await,
        Command::Enqueue(args) => enqueue::run(*args, &context).await,
        Command::Each(args) => each::run(args, &context).await,
        Command::Watch(args) => watch::run(args, &context).await,
        Command::Job(args) => job::run(args, &context).await,
        Command::Queue(args) => queue::run(args, &context).await,
        Command::Schedule(args) => schedule::run(args, &context).await,
        Command::Graph(args) => graph::run(args, &context).await,
        Command::Limit(args) => limit::run(args, &context).await,
        Command::Batch(args) => batch::run(args, &context).await,
        Command::Stats(args) => stats::run(args, &context).await,
        Command::Top(args) => stats::run(args.into(), &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Bench(args) => bench::run(args, &context).await,
        Command::Config(args) => config::run(&args, &context),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    }
}

/// Ends a call that is wrong or asks for help. Prints an error in one line; prints help in the format of clap.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand {
        // A closed pipe is no failure.
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let text = error.to_string();
    let told = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let told = told.filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"));
    Failure::usage(told.map(one_line).collect::<Vec<_>>().join("; ")).report()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
