//! What can be said on the command line, apart from what each command takes.

use crate::failure::Failure;
use crate::{
    commands::{bench, completions, config, doctor, each, enqueue, job, migrate, queue, reaper, stats, worker},
    dev,
};
use clap::{Args, Parser, Subcommand};
use leasehold::Sources;
use std::{path::PathBuf, process::ExitCode};

/// A job queue whose every job is a row in PostgreSQL, handed out at the speed of Redis.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Settings come from leasehold.toml, LEASEHOLD_… variables and flags; `leasehold config` lists them.
LEASEHOLD_…_FILE names a file with the value of a variable, for passwords."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The file of settings [default: leasehold.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "LEASEHOLD_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where PostgreSQL is: postgres://user:password@host:port/database. Better in a file or in LEASEHOLD_DATABASE_URL:
    /// every user of this machine can read arguments
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Where Redis is: redis://:password@host:port/0. Better in a file or in LEASEHOLD_REDIS_URL
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) redis_url: Option<String>,
    /// Any other setting, such as worker.lease_ms=5000 (repeatable)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) settings: Vec<(String, String)>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Globals {
    /// Where settings come from under these flags.
    pub(crate) fn sources(&self) -> Sources {
        let mut overrides = self.settings.clone();
        for (key, url) in [("database.url", &self.database_url), ("redis.url", &self.redis_url)] {
            overrides.extend(url.iter().map(|url| (key.to_owned(), url.clone())));
        }
        Sources {
            file: self.config.clone().filter(|path| !path.as_os_str().is_empty()),
            overrides,
            ..Sources::of_this_process()
        }
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, such as worker.lease_ms=5000")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Ends a call that makes no sense, or that only asks for help: a mistake in one line, help as it is.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand {
        // Whoever closes the pipe early has read enough.
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::Args),
    Migrate(migrate::Args),
    Worker(worker::Args),
    Reaper(reaper::Args),
    Enqueue(enqueue::Args),
    Each(each::Args),
    Job(job::Args),
    Queue(queue::Args),
    Stats(stats::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Config(config::Args),
    Completions(completions::Args),
}
