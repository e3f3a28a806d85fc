//! Writes how runs of HTTP workers have ended, with the verbs of all workers.

use super::{after::after_settle, ends::RequestedEnd};
use crate::{
    api::Api,
    auth::{Caller, denied_runs},
    errors::{Code, Detail, DetailCode, Problem, Result},
};
use leasehold_core::{Backoff, Fence, FinishedRun, JobId, Settle, Settled, State, Tries, WorkerId};
use leasehold_ports::SettledRuns;
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, sleep};

/// The pause between two tries to end a run whose row another transaction has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);
/// A job that is not live has no attempts left, as far as its end matters.
const NO_TRIES: Tries =
    Tries { attempt: 1, max_attempts: 1, backoff: Backoff::fixed(Duration::from_secs(1)), time_left: None };

/// What became of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) state: State,
    /// An earlier request had written the end.
    pub(super) already: bool,
}

/// Writes the ends of runs of one worker, as far as the caller may. The answers have the order of the runs.
///
/// # Errors
/// A store failed. If the runs are sent again, those that were written are answered as such.
pub(super) async fn settle(
    api: &Api,
    caller: &Caller,
    worker: WorkerId,
    runs: Vec<(Fence, RequestedEnd)>,
) -> Result<Vec<Result<Written>>> {
    let fences: Vec<Fence> = runs.iter().map(|(fence, _)| *fence).collect();
    let denied = denied_runs(api, caller, &fences).await?;
    let refusal = |(fence, end): &(Fence, RequestedEnd)| {
        // A worker may enqueue follow-on jobs only where its token may enqueue.
        let then = || caller.needs_enqueue(end.then(), |nth| format!("/enqueue/{nth}")).err();
        denied.get(&fence.id).cloned().or_else(then)
    };
    let refusals: Vec<Option<Problem>> = runs.iter().map(refusal).collect();
    let allowed = runs.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let mut written = settle_allowed(api, worker, allowed.map(|(run, _)| run).collect()).await?.into_iter();
    let answer =
        |refusal: Option<Problem>| refusal.map_or_else(|| written.next().unwrap_or_else(|| Err(lease_lost())), Err);
    Ok(refusals.into_iter().map(answer).collect())
}

async fn settle_allowed(api: &Api, worker: WorkerId, runs: Vec<(Fence, RequestedEnd)>) -> Result<Vec<Result<Written>>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let fences: Vec<Fence> = runs.iter().map(|(fence, _)| *fence).collect();
    api.dispatcher().confirm(&fences);
    let ids: Vec<_> = fences.iter().map(|fence| fence.id).collect();
    let facts = api.store().run_facts(&ids).await?;
    let ends = runs.iter().map(|(fence, end)| {
        let live = facts.get(&fence.id).filter(|facts| facts.epoch == fence.epoch);
        let tries = live.map_or(NO_TRIES, |facts| facts.tries(api.settings().backoff));
        FinishedRun { fence: *fence, settle: end.clone().settle(&tries, rand::random()) }
    });
    let mut ends: Vec<FinishedRun> = ends.collect();
    let mut answers: Vec<Option<Settled>> = vec![None; ends.len()];
    let (mut unblocked, mut refused) = (Vec::new(), HashMap::new());
    let begun = Instant::now();
    loop {
        let left: Vec<usize> = (0..ends.len()).filter(|&nth| is_open(answers[nth])).collect();
        let sent: Vec<FinishedRun> = left.iter().map(|&nth| ends[nth].clone()).collect();
        let (settled, unstorable): (SettledRuns, _) = api.store().settle_storable(worker, &sent).await?;
        refused.extend(unstorable.into_iter().map(|run| (run.fence, run.reason)));
        unblocked.extend(settled.unblocked);
        let mut is_changed = false;
        for (nth, answer) in left.into_iter().zip(settled.answers) {
            answers[nth] = Some(answer);
            // Only a cancel is accepted now: the job ends as cancelled.
            if answer == Settled::CancelWanted && !matches!(ends[nth].settle, Settle::Cancel) {
                ends[nth].settle = Settle::Cancel;
                is_changed = true;
            }
        }
        if !answers.iter().any(|answer| is_open(*answer)) || begun.elapsed() > api.store().lock_timeout() {
            break;
        }
        if !is_changed {
            sleep(LOCKED_PAUSE).await;
        }
    }
    look_back(api, worker, &runs, &mut ends, &mut answers).await?;
    let over = fences.iter().zip(&answers).filter(|(_, answer)| !is_open(**answer)).map(|(fence, _)| *fence);
    api.dispatcher().ended(worker, &over.collect::<Vec<_>>());
    after_settle(api, &facts, &ends, &answers, unblocked);
    let locked = locked(api, &ends, &answers).await;
    let answer = |(end, answer): (&FinishedRun, Option<Settled>)| match refused.get(&end.fence) {
        Some(reason) => Err(unstorable(end, reason)),
        None => written(end, answer, &locked),
    };
    Ok(ends.iter().zip(answers).map(answer).collect())
}

/// Whether the run is sent again.
const fn is_open(answer: Option<Settled>) -> bool {
    matches!(answer, None | Some(Settled::Locked | Settled::CancelWanted))
}

/// A request that is sent again finds that the run has ended. The first request may have ended the run in another way of the same
/// kind. A fence that is stale changes nothing, so all ways can be tried.
async fn look_back(
    api: &Api,
    worker: WorkerId,
    runs: &[(Fence, RequestedEnd)],
    ends: &mut [FinishedRun],
    answers: &mut [Option<Settled>],
) -> Result<()> {
    for (nth, (fence, end)) in runs.iter().enumerate() {
        if answers[nth] != Some(Settled::LeaseLost) {
            continue;
        }
        for settle in end.as_before() {
            let before = FinishedRun { fence: *fence, settle };
            let answer = api.store().settle(worker, std::slice::from_ref(&before)).await?.answers.pop();
            if answer == Some(Settled::Already) {
                (ends[nth], answers[nth]) = (before, answer);
                break;
            }
        }
    }
    Ok(())
}

fn written(end: &FinishedRun, answer: Option<Settled>, locked: &Problem) -> Result<Written> {
    let state = match end.settle {
        Settle::Complete(_) | Settle::CompleteThen(_) => State::Succeeded,
        Settle::Retry { .. } | Settle::Snooze { .. } => State::Scheduled,
        Settle::Release => State::Queued,
        Settle::Bury { .. } => State::Dead,
        Settle::Cancel => State::Cancelled,
    };
    match answer {
        Some(Settled::Done) => Ok(Written { state, already: false }),
        Some(Settled::Already) => Ok(Written { state, already: true }),
        Some(Settled::Locked) => Err(locked.clone()),
        Some(Settled::LeaseLost | Settled::CancelWanted) | None => Err(lease_lost()),
    }
}

/// The error for runs whose rows other transactions have locked. Usually one transaction holds all of them.
async fn locked(api: &Api, ends: &[FinishedRun], answers: &[Option<Settled>]) -> Problem {
    let held = ends.iter().zip(answers).filter(|(_, answer)| **answer == Some(Settled::Locked));
    let held: Vec<JobId> = held.map(|(end, _)| end.fence.id).collect();
    let holders = if held.is_empty() { Vec::new() } else { api.store().job_holders(&held).await };
    let by = holders.iter().map(|holder| format!(" ({holder})")).collect::<Vec<_>>().join(",");
    let message = format!(
        "an open transaction of another session{by} holds the job, so its run has not ended: send the same again"
    );
    Problem::new(Code::Locked, message)
}

/// The error for a success that PostgreSQL cannot store. PostgreSQL does not say which of the values is bad.
fn unstorable(end: &FinishedRun, reason: &str) -> Problem {
    let fields: &[&str] = match &end.settle {
        Settle::CompleteThen(success) if success.result.is_some() => &["/result", "/enqueue"],
        Settle::CompleteThen(_) => &["/enqueue"],
        _ => &["/result"],
    };
    let message = format!("cannot be stored, so the run has not ended: {reason}");
    Problem::invalid(fields.iter().map(|field| Detail::new(*field, DetailCode::Refused, message.clone())).collect())
}

/// The error for a stale fence.
pub(super) fn lease_lost() -> Problem {
    Problem::new(Code::LeaseLost, "the lease of this run is lost, or the run has ended in another way: drop the run")
}
