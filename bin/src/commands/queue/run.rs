//! `leasehold queue`: dispatches to the actions.

use super::{pause, scale, set, times, weight};
use crate::{
    context::Context,
    failure::Failure,
    known, locked,
    output::{self, human, progress, queues},
    signals,
};
use clap::Subcommand;
use leasehold::{Client, Kind, QueueName, State};
use leasehold_store::JobFilter;
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

/// List queues, pause and resume them, set what they do, empty them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold queue list
  # starts no job of the queue until it is resumed; running jobs continue
  leasehold queue pause mail
  # the same for one kind of jobs in the queue
  leasehold queue pause mail --kind newsletter
  # one point of priority is worth 10 minutes of waiting
  leasehold queue set mail --priority-step 10m
  leasehold queue set mail --dead-letter mail-dead --keep-days 3
  # how many workers the queue needs
  leasehold queue scale mail --slots-per-replica 8
  # how long jobs waited and ran in the last three hours
  leasehold queue times mail --since 3h
  # cancels every waiting job
  leasehold queue purge mail")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every queue that has jobs or a pause
    List,
    /// Start no job of a queue, or of one kind or fair key in it, until it is resumed; running jobs continue
    Pause {
        /// The name of the queue
        queue: QueueName,
        /// Pause only the jobs of this kind in this queue
        #[arg(long)]
        kind: Option<Kind>,
        /// Pause only the jobs of this fair key in this queue
        #[arg(long, value_name = "KEY", conflicts_with = "kind")]
        fair_key: Option<String>,
    },
    /// Resume a paused queue, or a paused kind or fair key in it
    Resume {
        /// The name of the queue
        queue: QueueName,
        /// Resume only this kind. Without it, kinds that are paused by themselves stay paused
        #[arg(long)]
        kind: Option<Kind>,
        /// Resume only this fair key
        #[arg(long, value_name = "KEY", conflicts_with = "kind")]
        fair_key: Option<String>,
    },
    Set(set::Args),
    Weight(weight::Args),
    Scale(scale::Args),
    Times(times::Args),
    /// Show what was set for a queue
    Show {
        /// The name of the queue
        queue: QueueName,
    },
    /// Cancel every waiting job of a queue; running jobs continue
    Purge {
        /// The name of the queue
        queue: QueueName,
        /// Do not ask for confirmation. Only calls on a terminal ask
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::List => {
            let store = context.store().await?;
            let stats = store.stats().await.map_err(|error| context.store_failure(error))?;
            output::either(context.json, &stats, || queues::list(&stats))?;
        }
        Action::Pause { queue, fair_key: Some(key), .. } => pause::pause_fair_key(&queue, &key, context).await?,
        Action::Resume { queue, fair_key: Some(key), .. } => pause::resume_fair_key(&queue, &key, context).await?,
        Action::Pause { queue, kind, .. } => pause::pause(&queue, kind.as_ref(), context).await?,
        Action::Resume { queue, kind, .. } => pause::resume(&queue, kind.as_ref(), context).await?,
        Action::Set(args) => set::set(args, context).await?,
        Action::Scale(args) => scale::show(args, context).await?,
        Action::Times(args) => times::show(args, context).await?,
        Action::Weight(args) => weight::set(args, context).await?,
        Action::Show { queue } => set::show(&queue, context).await?,
        Action::Purge { queue, yes } => return purge(&queue, yes, context).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn purge(queue: &QueueName, yes: bool, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    known::queue(queue, &client, context).await?;
    if !yes && !agreed(queue, &client, context).await? {
        output::note("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    context.audit(client.store(), "queue.purge", queue.as_str(), json!({})).await?;
    let stop = signals::listen()?;
    let bar = progress::counter();
    bar.set_message("cancelled");
    let mut cancelled = 0;
    while !stop.soon.is_cancelled() {
        let batch = client.purge(queue).await.map_err(|error| context.failure(&error))?;
        if batch.is_empty() {
            break;
        }
        cancelled += batch.len() as u64;
        bar.set_position(cancelled);
    }
    bar.finish_and_clear();
    output::either(context.json, &json!({ "queue": queue, "cancelled": cancelled }), || {
        format!("cancelled {} of {queue}", human::count(cancelled, "waiting job", "waiting jobs"))
    })?;
    let left = waiting(queue, &client, context).await?;
    if left > 0 && !stop.soon.is_cancelled() {
        let jobs = human::count(left, "job still waits", "jobs still wait");
        let by = held_by(queue, &client).await;
        return Err(Failure::new(format!(
            "{jobs} in {queue}: open transactions of other sessions hold them{by}, or they are new; run the command again"
        )));
    }
    if stop.soon.is_cancelled() {
        return Err(Failure::new("stopped before the queue was empty; run the command again to continue"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The sessions that hold waiting jobs of a queue.
async fn held_by(queue: &QueueName, client: &Client) -> String {
    let of_state = async |state| {
        let filter = JobFilter { queue: Some(queue.clone()), state: Some(state), limit: 100, ..JobFilter::default() };
        client.store().jobs(&filter).await.unwrap_or_default()
    };
    let mut ids = Vec::new();
    for state in [State::Queued, State::Scheduled, State::Blocked] {
        ids.extend(of_state(state).await.into_iter().map(|job| job.id));
    }
    locked::by(client, &ids).await
}

/// Asks for confirmation on a terminal. Scripts are not asked.
async fn agreed(queue: &QueueName, client: &Client, context: &Context) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    let waiting = waiting(queue, client, context).await?;
    let jobs = human::count(waiting, "waiting job", "waiting jobs");
    write!(io::stderr(), "cancel {jobs} in {queue}? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The number of jobs that wait in a queue.
async fn waiting(queue: &QueueName, client: &Client, context: &Context) -> Result<u64, Failure> {
    let stats = client.store().stats().await.map_err(|error| context.store_failure(error))?;
    let of_queue = stats.iter().find(|stats| stats.queue == queue.as_str());
    let waiting = of_queue.map_or(0, |stats| stats.blocked + stats.scheduled + stats.queued);
    Ok(u64::try_from(waiting).unwrap_or(0))
}
