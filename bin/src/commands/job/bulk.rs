//! Changes all jobs of a filter, with progress. A signal stops the work after the current page, and finished changes stay.

use super::{pace::Pace, rate::Rate};
use crate::{
    context::Context,
    failure::Failure,
    known, locked,
    output::{self, counts, human, progress},
    signals,
};
use leasehold::{Bulk, BulkAction, BulkCount, BulkFilter, BulkStep, Client};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

/// How a command changes the jobs of a filter.
pub(super) struct Order {
    pub(super) action: BulkAction,
    pub(super) filter: BulkFilter,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
    /// The rate: at most a number of jobs in a time.
    pub(super) rate: Option<Rate>,
}

pub(super) async fn run(order: Order, context: &Context) -> Result<ExitCode, Failure> {
    let Order { action, filter, dry_run, yes, rate } = order;
    let is_asked = !yes && !dry_run;
    if is_asked && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage("a filter may choose many jobs: look with --dry-run, and add --yes to change them"));
    }
    let client = context.client().await?;
    known::queue_and_batch(filter.queue.as_ref(), filter.batch.as_deref(), &client, context).await?;
    let detail = noted(&action, &filter);
    let mut bulk = client.bulk(action.clone(), filter).await.map_err(|error| context.failure(&error))?;
    if let Some(rate) = rate {
        bulk = bulk.with_step_max(rate.step_max());
    }
    let mut total = None;
    if dry_run || is_asked || io::stderr().is_terminal() {
        let counted = client.bulk_counts(&bulk).await.map_err(|error| context.failure(&error))?;
        if dry_run {
            output::either(context.json, &counted, || counts::table_of(&counted))?;
            return Ok(ExitCode::SUCCESS);
        }
        let jobs = sum(&counted);
        if is_asked && jobs > 0 && !agreed(&action, &counted)? {
            output::note("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        total = Some(jobs);
    }
    context.audit(client.store(), "job.bulk", action.verb(), detail).await?;
    work(&client, &mut bulk, &action, rate, total, context).await
}

/// The text in the audit for a change of many jobs.
fn noted(action: &BulkAction, filter: &BulkFilter) -> Value {
    let (priority, to) = match action {
        BulkAction::Place(place) => (place.priority(), place.queue()),
        _ => (None, None),
    };
    json!({
        "priority": priority, "to": to,
        "queue": filter.queue, "kind": filter.kind, "states": filter.states, "batch": filter.batch, "error_like": filter.error_like,
        "older_than_s": filter.older_than.map(|age| age.as_secs()),
    })
}

/// Does the work and reports it, also if it stops early.
async fn work(
    client: &Client,
    bulk: &mut Bulk,
    action: &BulkAction,
    rate: Option<Rate>,
    total: Option<u64>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let bar = total.map_or_else(progress::counter, progress::bar);
    bar.set_message(action.verb().to_owned());
    let mut pace = rate.map(Pace::new);
    let mut done = BulkStep::default();
    let failed = loop {
        if stop.soon.is_cancelled() {
            break None;
        }
        match client.bulk_step(bulk).await {
            Ok(None) => break None,
            Ok(Some(step)) => {
                done.changed += step.changed;
                done.told_to_stop += step.told_to_stop;
                done.unique_key_taken += step.unique_key_taken;
                bar.set_position(done.changed + done.told_to_stop + done.unique_key_taken);
                if let Some(pace) = &mut pace {
                    tokio::select! {
                        () = pace.after(step.changed) => {}
                        () = stop.soon.cancelled() => {}
                    }
                }
            }
            Err(error) => break Some(context.failure(&error)),
        }
    };
    bar.finish_and_clear();
    let locked = bulk.locked().len() as u64;
    let is_complete = failed.is_none() && !stop.soon.is_cancelled();
    let answer = json!({
        "action": action.verb(), "changed": done.changed, "told_to_stop": done.told_to_stop,
        "unique_key_taken": done.unique_key_taken, "locked": locked, "complete": is_complete && locked == 0,
    });
    output::either(context.json, &answer, || said(action, &done))?;
    match failed {
        Some(failure) => Err(failure.with("the jobs before are done; run the command again to continue")),
        None if !is_complete => {
            Err(Failure::new("stopped before the end; what is done stays done; run the command again to continue"))
        }
        None if locked > 0 => {
            let jobs = human::count(locked, "job is", "jobs are");
            let by = locked::by(client, bulk.locked()).await;
            Err(Failure::new(format!(
                "{jobs} locked by open transactions of other sessions{by}; run the command again"
            )))
        }
        None if done.unique_key_taken > 0 => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn said(action: &BulkAction, done: &BulkStep) -> String {
    let jobs = human::count(done.changed, "job", "jobs");
    let mut text = match action {
        BulkAction::Cancel => format!("cancelled {jobs}"),
        BulkAction::Retry => format!("put {jobs} back into the line"),
        BulkAction::Place(place) => match place.queue() {
            Some(queue) => format!("moved {jobs} to {queue}"),
            None => format!("set the priority {} of {jobs}", place.priority().unwrap_or_default()),
        },
    };
    if done.told_to_stop > 0 {
        let workers = human::count(done.told_to_stop, "running job", "running jobs");
        text += &format!("; told the workers of {workers} to stop");
    }
    if done.unique_key_taken > 0 {
        let jobs = human::count(done.unique_key_taken, "job stays as it is", "jobs stay as they are");
        text += &format!("; {jobs}, because live jobs have their unique keys");
    }
    text
}

fn sum(counted: &[BulkCount]) -> u64 {
    counted.iter().map(|count| count.count).sum()
}

/// Shows what would be changed, and asks.
fn agreed(action: &BulkAction, counted: &[BulkCount]) -> Result<bool, Failure> {
    let mut err = io::stderr();
    write!(err, "{}", counts::table_of(counted))?;
    write!(err, "{} {}? [y/N] ", action.verb(), human::count(sum(counted), "job", "jobs"))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
