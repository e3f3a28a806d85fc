//! Finds the reasons from the facts about a job, for each state.

use super::{
    explanation::{Facts, POSITION_LIMIT},
    reason::{BlockingParent, DeathCause, Process, Reason},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobRecord, Parent, ParentFailure, State, Verb};
use leasehold_ports::{HeldLimit, JobMoment, RowLocker, WorkerRecord};
use serde_json::Number;

/// How many parents of a blocked job are named.
const PARENTS_NAMED: usize = 10;

pub(super) fn ms_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

/// The parents that a blocked job waits for. Parents that run or wait come before parents that have ended.
pub(super) fn blocked(parents: &[Parent], locked: bool) -> Reason {
    let mut waits: Vec<&Parent> = parents.iter().filter(|parent| !parent.met).collect();
    waits.sort_by_key(|parent| parent.state.is_none_or(State::is_final));
    let is_over = |parent: &&Parent| {
        parent.state.is_some_and(|state| parent.on_parent_failure != ParentFailure::Hold && state.is_final())
    };
    if waits.iter().all(is_over) {
        return Reason::ParentsEnded { locked };
    }
    let named = waits.iter().take(PARENTS_NAMED).map(|parent| BlockingParent {
        id: parent.id,
        state: parent.state,
        on_parent_failure: parent.on_parent_failure,
    });
    Reason::BlockedBy { count: waits.len() as u64, parents: named.collect() }
}

pub(super) fn scheduled(job: &JobRecord, as_of: DateTime<Utc>) -> Vec<Reason> {
    let run_at = job.run_at;
    let mut reasons = vec![if run_at <= as_of {
        Reason::Due { run_at, since_ms: ms_between(run_at, as_of) }
    } else {
        Reason::Scheduled { run_at, in_ms: ms_between(as_of, run_at) }
    }];
    reasons.extend(job.trail.last().map(|last| Reason::After {
        verb: last.verb.clone(),
        note: last.note.clone(),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
    }));
    reasons
}

/// Until when a waiting job may begin.
pub(super) fn deadlines(job: &JobRecord, as_of: DateTime<Utc>) -> Vec<Reason> {
    let expires = job.expires_at.map(|expires_at| Reason::Expires { expires_at, in_ms: ms_between(as_of, expires_at) });
    let until = job.retry_until.map(|until| Reason::RetriesEnd { until, in_ms: ms_between(as_of, until) });
    expires.into_iter().chain(until).collect()
}

pub(super) fn queued(facts: &Facts) -> Vec<Reason> {
    let JobMoment { job, as_of, paused, kind_paused, key_held_by, limits, share, locked_by, .. } = &facts.moment;
    let mut reasons = Vec::new();
    if let Some(by) = key_held_by {
        reasons.push(Reason::KeyHeld { unique_key: job.unique_key.clone().unwrap_or_default(), by: *by });
    }
    reasons.extend(limits.iter().flat_map(|held| limited(held, *as_of)));
    if *paused {
        reasons.push(Reason::Paused { queue: job.queue.clone() });
    }
    if *kind_paused {
        reasons.push(Reason::KindPaused { queue: job.queue.clone(), kind: job.kind.clone() });
    }
    if let Some(share) = share.as_ref().filter(|share| share.paused) {
        reasons.push(Reason::FairKeyPaused { queue: job.queue.clone(), fair_key: share.fair_key.clone() });
    }
    if job.crashes > 0 {
        reasons.push(Reason::Crashed { crashes: job.crashes, max_crashes: job.max_crashes });
    }
    let unserved = not_served(facts);
    let served = unserved.is_none();
    reasons.extend(unserved);
    reasons.push(match (share, facts.position) {
        (Some(share), _) => Reason::Parked {
            fair_key: share.fair_key.clone(),
            before: share.before,
            at_least: share.at_least,
            weight: Number::from_f64(share.weight).unwrap_or_else(|| 1.into()),
            keys: share.keys,
        },
        (None, Some(0)) if reasons.is_empty() && locked_by.is_none() => Reason::Next,
        (None, Some(before)) => {
            Reason::Position { before: u64::try_from(before).unwrap_or(0), at_least: before >= POSITION_LIMIT }
        }
        (None, None) => Reason::Moved,
    });
    if let (true, Ok(workers)) = (served, &facts.workers) {
        let (free, slots) = capacity(workers, job);
        if slots > 0 && free == 0 {
            reasons.push(Reason::Busy { slots });
        }
    }
    reasons
}

/// The reason why one of its limit keys prevents a job from starting.
fn limited(held: &HeldLimit, as_of: DateTime<Utc>) -> impl Iterator<Item = Reason> {
    let full = held.running.filter(|limit| held.running_now >= i64::from(*limit)).map(|limit| Reason::Limited {
        limit_key: held.key.clone(),
        limit,
        running: u64::try_from(held.running_now).unwrap_or_default(),
        by: held.holders.clone(),
    });
    let in_ms = held.token_in_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
    let rate = in_ms.map(|in_ms| Reason::RateLimited { limit_key: held.key.clone(), in_ms });
    let locked = held.locked_by.clone().map(|RowLocker { pid, application, since }| Reason::KeyLocked {
        limit_key: held.key.clone(),
        pid,
        application,
        since,
        since_ms: ms_between(since, as_of),
    });
    locked.into_iter().chain(full).chain(rate)
}

pub(super) fn running(facts: &Facts) -> Vec<Reason> {
    let JobMoment { job, as_of, .. } = &facts.moment;
    let live = facts.workers.as_deref().unwrap_or_default();
    let process = live.iter().find(|known| Some(known.id) == job.worker);
    let mut reasons = vec![Reason::Running {
        worker: job.worker,
        process: process
            .filter(|known| !known.host.is_empty())
            .map(|known| Process { host: known.host.clone(), pid: known.pid }),
        started_at: job.started_at,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
    }];
    if let Some(end) = job.lease_expires_at {
        reasons.push(if end > *as_of {
            Reason::Lease { expires_at: end, in_ms: ms_between(*as_of, end) }
        } else {
            Reason::LeaseRanOut {
                expired_at: end,
                since_ms: ms_between(end, *as_of),
                locked: facts.moment.locked_by.is_some(),
            }
        });
    }
    if let Some(requested_at) = job.cancel_requested_at {
        reasons.push(Reason::CancelWanted { requested_at, since_ms: ms_between(requested_at, *as_of) });
    }
    reasons
}

pub(super) fn finished(job: &JobRecord, as_of: DateTime<Utc>) -> Reason {
    let finished_at = job.finished_at;
    let since_ms = finished_at.map_or(0, |at| ms_between(at, as_of));
    match job.state {
        State::Succeeded => Reason::Succeeded { finished_at, since_ms },
        State::Cancelled => {
            let last = job.trail.last().filter(|last| last.verb == Verb::Cancel.as_str());
            Reason::Cancelled { finished_at, since_ms, reason: last.and_then(|last| last.note.clone()) }
        }
        _ => {
            let cause = if job.crashes >= job.max_crashes {
                DeathCause::Crashes { crashes: job.crashes }
            } else if job.trail.last().is_some_and(|last| last.verb == Verb::Bury.as_str()) {
                DeathCause::Time { attempt: job.attempt, max_attempts: job.max_attempts }
            } else {
                DeathCause::Attempts { attempt: job.attempt, max_attempts: job.max_attempts }
            };
            Reason::Dead { finished_at, since_ms, cause, error: job.last_error.clone() }
        }
    }
}

/// Whether no live worker serves the queue or the kind of the job, or the workers are unknown.
pub(super) fn not_served(facts: &Facts) -> Option<Reason> {
    let job = &facts.moment.job;
    let workers = match &facts.workers {
        Ok(workers) => workers,
        Err(error) => return Some(Reason::RedisAway { error: error.clone() }),
    };
    let of_queue: Vec<_> = workers.iter().filter(|worker| slots_for(worker, job) > 0).collect();
    let (queue, kind, last_seen_ms) = (job.queue.clone(), job.kind.clone(), last_seen_ms(facts));
    if of_queue.is_empty() {
        return Some(Reason::NoWorker { queue, kind, last_seen_ms });
    }
    if of_queue.iter().any(|worker| serves_kind(worker, job)) {
        return None;
    }
    Some(Reason::NoHandler { queue, kind, workers: of_queue.len() as u64, last_seen_ms })
}

/// How long ago a worker last served the kind of the job in its queue.
fn last_seen_ms(facts: &Facts) -> Option<u64> {
    let job = &facts.moment.job;
    let fits = facts.last_served.iter().filter(|last| last.kind.as_ref().is_none_or(|kind| kind.as_str() == job.kind));
    fits.map(|last| u64::try_from(last.ago.as_millis()).unwrap_or(u64::MAX)).min()
}

fn slots_for(worker: &WorkerRecord, job: &JobRecord) -> u32 {
    worker.queues.iter().filter(|(queue, _)| queue.as_str() == job.queue).map(|(_, slots)| slots).sum()
}

fn serves_kind(worker: &WorkerRecord, job: &JobRecord) -> bool {
    worker.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.as_str() == job.kind))
}

/// Free slots and all slots of the workers that serve the queue and the kind of the job. A worker of several queues does not
/// say which queue its running jobs are of: all its slots count as free.
fn capacity(workers: &[WorkerRecord], job: &JobRecord) -> (u32, u32) {
    let fit = workers.iter().filter(|worker| slots_for(worker, job) > 0 && serves_kind(worker, job));
    fit.fold((0, 0), |(free, all), worker| {
        let slots = slots_for(worker, job);
        let busy = if worker.queues.len() == 1 { worker.running.min(slots) } else { 0 };
        (free + slots - busy, all + slots)
    })
}
