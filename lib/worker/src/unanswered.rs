//! Claims that were sent and not answered. PostgreSQL may have granted them: then this worker holds runs that it knows
//! nothing of, and when their leases run out each costs its job an attempt and a crash. So once PostgreSQL answers again
//! the worker asks what it holds, and gives back what it does not know.
//!
//! Claims and this question exclude each other, since a run is unknown between its claim and the answer to that.

use crate::{settled_hints::give_back, wait::Waits, worker_state::WorkerState};
use leasehold_core::{FinishedRun, JobId, QueueName, Settle, Settled};
use leasehold_ports::{Deferred, Error, Lease};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{RwLock, RwLockReadGuard},
    time::sleep,
};

/// When it looks, after PostgreSQL has answered again. More than once, since the server may still be at a statement whose
/// connection is gone. What is granted later than that runs out, as what a dead worker held.
const LOOKS_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// What is not known about claims.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// Read by whoever claims, written by whoever asks what is held.
    claiming: RwLock<()>,
    /// Claims without an answer that nobody has looked for yet; above zero, somebody is at it.
    unanswered: AtomicU32,
}

impl Unanswered {
    /// To be held from before a claim is sent until its runs are known.
    pub(crate) async fn claiming(&self) -> RwLockReadGuard<'_, ()> {
        self.claiming.read().await
    }
}

/// A claim was not answered: finds out what it came to, beside all else.
pub(crate) fn reconcile_unanswered(state: &Arc<WorkerState>) {
    if state.unanswered.unanswered.fetch_add(1, Ordering::AcqRel) == 0 {
        let state_there = Arc::clone(state);
        state.background.spawn(async move { reconcile_until_none_is_left(&state_there).await });
    }
}

async fn reconcile_until_none_is_left(state: &WorkerState) {
    loop {
        let seen = state.unanswered.unanswered.load(Ordering::Acquire);
        for after in LOOKS_AFTER {
            pause(state, after).await;
            look_until_answered(state).await;
            if state.stopping.is_cancelled() {
                break;
            }
        }
        // Those that came up meanwhile are looked for too.
        let done = state.unanswered.unanswered.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire);
        if done.is_ok() || state.stopping.is_cancelled() {
            return;
        }
    }
}

/// A worker that stops asks once more and waits for nothing.
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
            // Another transaction holds a lock on some of them.
            Ok(false) => {}
            Err(_) if state.stopping.is_cancelled() => return,
            // Whether PostgreSQL is away, the loops of the queues say.
            Err(error) => tracing::debug!(%error, "what this worker holds is not known yet"),
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

/// Whether nothing is left to be given back.
async fn give_back_unknown(state: &WorkerState) -> Result<bool, Error> {
    let unknown: Vec<Lease> = {
        let _nobody_claims = state.unanswered.claiming.write().await;
        // Before it asks: what ends meanwhile was known.
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
