//! Gives back runs whose answers did not arrive, and hints that were not used.

use super::{dispatcher::Shared, handover::Release};
use leasehold_core::{FinishedRun, JobId, QueueName, Settle, WorkerId};
use leasehold_ports::{Hint, Kinds};
use leasehold_store::HttpRun;
use leasehold_worker::{Waits, in_line};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// How long the server tries to release a run while PostgreSQL is unavailable. Then the lease has run out.
pub(super) const RELEASE_PATIENCE: Duration = Duration::from_secs(60);

/// The data for the release of a run.
pub(super) fn release_of(run: &HttpRun) -> Release {
    Release { queue: run.job.queue.clone(), fence: run.job.fence, line_at: run.job.line_at }
}

/// Releases runs until an empty release comes.
pub(super) async fn release_runs(shared: Arc<Shared>, mut released: mpsc::UnboundedReceiver<Vec<Release>>) {
    let mut batch = Vec::new();
    loop {
        if released.recv_many(&mut batch, 64).await == 0 {
            return;
        }
        let is_last = batch.iter().any(Vec::is_empty);
        let mut by_worker: BTreeMap<WorkerId, Vec<Release>> = BTreeMap::new();
        for run in batch.drain(..).flatten() {
            by_worker.entry(run.fence.worker).or_default().push(run);
        }
        for (worker, runs) in by_worker {
            release_of_worker(&shared, worker, runs).await;
        }
        if is_last {
            return;
        }
    }
}

/// Releases runs of one worker, except runs that were handed over again.
async fn release_of_worker(shared: &Shared, worker: WorkerId, mut runs: Vec<Release>) {
    let (begun, mut waits) = (Instant::now(), Waits::new(20, 2000));
    loop {
        // Until the end of the statement, no claim hands these runs over again.
        let turn = shared.handovers.wait(&worker.0.to_string()).await;
        shared.unconfirmed.still_lost(&mut runs);
        if runs.is_empty() {
            return;
        }
        let end = |run: &Release| FinishedRun { fence: run.fence, settle: Settle::Release };
        let ends: Vec<FinishedRun> = runs.iter().map(end).collect();
        match shared.store.settle(worker, &ends).await {
            Ok(_) => {
                shared.unconfirmed.forget(&runs);
                break;
            }
            Err(error) if begun.elapsed() > RELEASE_PATIENCE => {
                shared.unconfirmed.forget(&runs);
                return tracing::warn!(%error, runs = ends.len(), "runs were not released; their leases run out");
            }
            Err(error) => tracing::debug!(%error, "runs are released later"),
        }
        drop(turn);
        sleep(waits.next(&shared.jitter)).await;
    }
    let Some(head) = &shared.head else { return };
    let mut by_queue: BTreeMap<QueueName, Vec<Hint>> = BTreeMap::new();
    for run in runs {
        by_queue.entry(run.queue).or_default().push(Hint::at(run.fence.id, run.line_at));
    }
    for (queue, hints) in by_queue {
        if let Err(error) = head.release(&queue, &hints).await {
            shared.redis.failed(&error);
        }
    }
}

/// Gives hints back that were taken and not used.
pub(super) async fn give_back(shared: &Shared, queue: &QueueName, ids: Vec<JobId>) {
    let Some(head) = shared.head.as_ref().filter(|_| !ids.is_empty()) else { return };
    let hints: Vec<Hint> = ids.into_iter().map(Hint::unused).collect();
    if let Err(error) = head.release(queue, &hints).await {
        shared.redis.failed(&error);
    }
}

/// Gives hints back that a claim had no room for, each to its position in the line: jobs that came into the line after these hints were
/// taken may come before them.
pub(super) async fn give_back_in_order(shared: &Shared, queue: &QueueName, ids: Vec<JobId>) {
    let Some(head) = shared.head.as_ref().filter(|_| !ids.is_empty()) else { return };
    let Ok(looked) = shared.store.look(&ids, &Kinds::All).await else { return give_back(shared, queue, ids).await };
    let (waiting, ended) = in_line(queue, &ids, &looked);
    let released = match waiting.is_empty() {
        true => Ok(()),
        false => head.release(queue, &waiting).await.map(drop),
    };
    let acked = match ended.is_empty() {
        true => Ok(()),
        false => head.ack(&[(queue.clone(), ended)]).await.map(drop),
    };
    if let Err(error) = released.and(acked) {
        shared.redis.failed(&error);
    }
}
