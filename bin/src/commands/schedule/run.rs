//! `leasehold schedule`: dispatches to the actions.

use super::{
    named::{no_such, shown},
    set,
};
use crate::{
    context::Context,
    failure::Failure,
    output::{self, schedules},
};
use clap::Subcommand;
use leasehold::ScheduleName;
use serde_json::json;
use std::process::ExitCode;

/// Enqueue jobs again and again: by cron expressions or at intervals
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold schedule set nightly --cron '30 2 * * *' --timezone Europe/Berlin \\
    --kind report
  leasehold schedule list
  # also the next five ticks
  leasehold schedule show nightly
  # no tick makes a job until `schedule resume`
  leasehold schedule pause nightly
  # enqueues the job now; the ticks stay as they are
  leasehold schedule run nightly
  # the jobs that it has made stay
  leasehold schedule remove nightly

Every reaper fires schedules, and each tick makes one job. `leasehold schedule set --help` has all \
flags.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Set(Box<set::Args>),
    /// List every schedule
    List,
    /// Show a schedule and its next five ticks
    Show {
        /// The name of the schedule
        name: ScheduleName,
    },
    /// Let no tick of a schedule make a job until the schedule is resumed
    Pause {
        /// The name of the schedule
        name: ScheduleName,
    },
    /// Resume a paused schedule from now on
    Resume {
        /// The name of the schedule
        name: ScheduleName,
    },
    /// Enqueue the job of a schedule now, and print its id
    Run {
        /// The name of the schedule
        name: ScheduleName,
    },
    /// Remove a schedule; the jobs that it has made stay
    Remove {
        /// The name of the schedule
        name: ScheduleName,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let name = match args.action {
        Action::Set(args) => return set::run(*args, context).await,
        Action::List => return list(context).await,
        Action::Show { name } => return shown(&context.client().await?, &name, context).await,
        Action::Run { name } => return run_now(&name, context).await,
        Action::Pause { ref name } | Action::Resume { ref name } | Action::Remove { ref name } => name,
    };
    let client = context.client().await?;
    let action = match &args.action {
        Action::Pause { .. } => "schedule.pause",
        Action::Resume { .. } => "schedule.resume",
        _ => "schedule.remove",
    };
    context.audit(client.store(), action, name.as_str(), json!({})).await?;
    let (changed, done, not_done) = match &args.action {
        Action::Pause { .. } => (client.pause_schedule(name).await, "paused", "was already paused"),
        Action::Resume { .. } => (client.resume_schedule(name).await, "resumed", "was not paused"),
        _ => (client.remove_schedule(name).await.map(|removed| removed.then_some(true)), "removed", ""),
    };
    let changed = changed.map_err(|error| context.failure(&error))?.ok_or_else(|| no_such(name))?;
    output::either(context.json, &json!({ "name": name, "action": done, "changed": changed }), || {
        if changed { format!("{name} is {done}") } else { format!("{name} {not_done}") }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context) -> Result<ExitCode, Failure> {
    let found = context.client().await?.schedules().await.map_err(|error| context.failure(&error))?;
    output::either(context.json, &found, || schedules::list(&found))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_now(name: &ScheduleName, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    context.audit(client.store(), "schedule.run", name.as_str(), json!({})).await?;
    let answer = client.run_schedule(name).await.map_err(|error| context.failure(&error))?;
    let answer = answer.ok_or_else(|| no_such(name))?;
    if !answer.inserted {
        output::note("no new job was made: a live job has the unique key");
    }
    output::either(context.json, &answer, || answer.id.to_string())?;
    Ok(ExitCode::SUCCESS)
}
