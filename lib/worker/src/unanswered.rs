//! Claims that were sent and not answered. PostgreSQL may have granted them. In this case the worker holds runs without
//! knowing it. When their leases run out, each run costs its job an attempt and a crash. So when PostgreSQL answers
//! again, the worker asks which runs it holds, and releases those that it does not know.
//!
//! Claims and this question never run at the same time, because the worker does not know a run between its claim and
//! the answer to the claim.

use crate::{jitter::Waits, settled_hints::give_back, worker_state::WorkerState};
use leasehold_core::{FinishedRun, JobId, QueueName, Settle, Settled};
use leasehold_ports::{Deferred, Error, Lease};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// The times of the checks after PostgreSQL has answered again. There are several checks, because the server may still
/// execute a statement whose connection is closed. If a run is granted after the last check, its lease expires, like
/// the leases of a dead worker.
const LOOKS_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// Finds out the result of a claim that was not answered, in parallel with all other work.
pub(crate) fn reconcile_unanswered(state: &Arc<WorkerState>) {
    if state.unanswered.count.fetch_add(1, Ordering::AcqRel) == 0 {
        let state_there = Arc::clone(state);
        state.background.spawn(async move { reconcile_until_none_is_left(&state_there).await });
    }
}

async fn reconcile_until_none_is_left(state: &WorkerState) {
    loop {
        let seen = state.unanswered.count.load(Ordering::Acquire);
        for after in LOOKS_AFTER {
            pause(state, after).await;
            look_until_answered(state).await;
            if state.stopping.is_cancelled() {
                break;
            }
        }
        // Claims that became unanswered during the check are checked too.
        let done = state.unanswered.count.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire);
        if done.is_ok() || state.stopping.is_cancelled() {
            return;
        }
    }
}

/// A stopping worker asks once more and does not wait.
async fn look_until_answered(state: &WorkerState) {
    let mut waits = Waits::new(50, 1000);
    loop {
        tokio::select! {
            biased;
            () = state.stopping.cancelled() => {}
            () = state.postgres.until_back() => {}
        }
        match give_back_unknown(state).await {
            Ok(true) => return,
            // Another transaction holds a lock on some of the rows.
            Ok(false) => {}
            Err(_) if state.stopping.is_cancelled() => return,
            // The loops of the queues log whether PostgreSQL is unavailable.
            Err(error) => tracing::debug!(%error, "the runs that this worker holds are not known yet"),
        }
        pause(state, waits.next(&state.jitter)).await;
    }
}

async fn pause(state: &WorkerState, time: Duration) {
    tokio::select! {
        biased;
        () = state.stopping.cancelled() => {}
        () = sleep(time) => {}
    }
}

/// Returns whether nothing is left to release.
async fn give_back_unknown(state: &WorkerState) -> Result<bool, Error> {
    let unknown: Vec<Lease> = {
        let _nobody_claims = state.unanswered.claiming.write().await;
        // Read the known runs before the question: then a run that ends during the question still counts as known.
        let known = state.runs.fences();
        let held = state.store.held(state.id).await?;
        held.into_iter().filter(|run| !known.contains(&run.fence())).collect()
    };
    if unknown.is_empty() {
        return Ok(true);
    }
    let runs: Vec<FinishedRun> =
        unknown.iter().map(|run| FinishedRun { fence: run.fence(), settle: Settle::Release }).collect();
    let answers = state.store.settle(state.id, &runs).await?;
    let mut hints = BTreeMap::<QueueName, Vec<JobId>>::new();
    let mut locked = Vec::new();
    for (run, answer) in unknown.into_iter().zip(answers) {
        match answer {
            Settled::Done | Settled::Already => {
                state.counters.settled(&Settle::Release);
                hints.entry(run.queue).or_default().push(run.id);
            }
            Settled::Locked => {
                let end = FinishedRun { fence: run.fence(), settle: Settle::Release };
                locked.push(Deferred { queue: run.queue, run: end });
            }
            Settled::CancelWanted | Settled::LeaseLost => {}
        }
    }
    for (queue, ids) in hints {
        give_back(state, &queue, &ids).await;
    }
    let is_all = locked.is_empty();
    if !is_all && state.stopping.is_cancelled() {
        state.store.defer(&locked).await?;
        return Ok(true);
    }
    Ok(is_all)
}
