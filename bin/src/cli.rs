//! The command line: all commands, their common arguments, and the dispatch from arguments to a command.

use crate::{
    commands::{
        api, audit, batch, bench, completions, config, doctor, each, encryption, enqueue, graph, job, limit, migrate,
        queue, reaper, schedule, stats, token, watch, webhook, worker,
    },
    context::Context,
    dev,
    failure::Failure,
    globals::Globals,
    logging::Log,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use leasehold_telemetry::traces::within_trace;
use std::{ffi::OsString, process::ExitCode, time::Duration};

/// How long the end of a process waits for the collector: with worker.grace_ms and worker.kill_after_ms, less than the 30 s that Kubernetes
/// gives a pod.
const FLUSH: Duration = Duration::from_secs(1);

/// A job queue: every job is a row in PostgreSQL, and Redis hands the jobs out fast
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Settings come from leasehold.toml, LEASEHOLD_… variables and flags; `leasehold config` lists all \
settings. For passwords: LEASEHOLD_…_FILE names a file that holds the value of the variable \
LEASEHOLD_…."
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
    Webhook(webhook::Args),
    Stats(stats::Args),
    Top(stats::TopArgs),
    Token(token::Args),
    Audit(audit::Args),
    Encryption(encryption::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Config(config::Args),
    Completions(completions::Args),
}

/// The arguments of this process. The parser accepts a negative number as the value of every flag. The check of the flag then
/// refuses the number and names the range. Clap alone would take `-1` for an unknown flag.
pub(crate) fn parse(given: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut matches = taking_numbers(Cli::command()).try_get_matches_from(given)?;
    Cli::from_arg_matches_mut(&mut matches)
}

fn taking_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let is_changed = arg.get_action().takes_values() && !arg.is_positional() && !arg.is_allow_hyphen_values_set();
        if is_changed { arg.allow_negative_numbers(true) } else { arg }
    });
    command.mut_subcommands(taking_numbers)
}

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // Completions need no settings, and must work even if the settings are broken.
    if let Command::Completions(args) = &cli.command {
        return completions::run(args, Cli::command());
    }
    let mut context = match &cli.command {
        Command::Dev(_) => Context::load_apart(cli.globals)?,
        Command::Worker(_) => Context::load(cli.globals, Log::AsSet, Some("leasehold-worker"))?,
        Command::Api(_) => Context::load(cli.globals, Log::AsSet, Some("leasehold-api"))?,
        // A reaper makes no spans: its work belongs to no single call.
        Command::Reaper(_) => Context::load(cli.globals, Log::AsSet, None)?,
        Command::Watch(_) => Context::load(cli.globals, Log::AsSet, Some("leasehold"))?,
        Command::Enqueue(_) | Command::Each(_) | Command::Graph(_) => {
            Context::load(cli.globals, Log::Quiet, Some("leasehold"))?
        }
        _ => Context::load(cli.globals, Log::Quiet, None)?,
    };
    let Some(traces) = context.traces.take() else { return run_command(cli.command, context).await };
    let within = FLUSH.min(Duration::from_millis(context.config.worker.grace_ms));
    let is_called = matches!(cli.command, Command::Enqueue(_) | Command::Each(_) | Command::Graph(_));
    // A caller passes its trace to such a command in the variable that the specification for processes names.
    let caller = if is_called { std::env::var("TRACEPARENT").ok() } else { None };
    let ended = within_trace(caller.as_deref(), run_command(cli.command, context)).await;
    traces.stop(within).await;
    ended
}

async fn run_command(command: Command, context: Context) -> Result<ExitCode, Failure> {
    match command {
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
        Command::Webhook(args) => webhook::run(args, &context).await,
        Command::Stats(args) => stats::run(args, &context).await,
        Command::Top(args) => stats::run(args.into(), &context).await,
        Command::Token(args) => token::run(args, &context).await,
        Command::Audit(args) => audit::run(args, &context).await,
        Command::Encryption(args) => encryption::run(&args, &context).await,
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
