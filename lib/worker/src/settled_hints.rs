//! Acknowledges the hints of settled runs in Redis. This is a task of its own, so that no settle waits for Redis.

use crate::{run::Run, worker_state::WorkerState};
use leasehold_core::{JobId, QueueName};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The hints of settled runs.
#[derive(Debug, Default)]
pub(crate) struct SettledHints {
    /// The jobs are no longer in the line.
    pub(crate) ack: Vec<Run>,
    /// The jobs are back in the line.
    pub(crate) release: Vec<Run>,
}

/// Hints by queue, as Redis expects them.
pub(crate) fn by_queue<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<(QueueName, Vec<JobId>)> {
    let mut hints: Vec<(QueueName, Vec<JobId>)> = Vec::new();
    for job in runs.map(Run::job) {
        // There are few queues: a search in a list is faster than a hash.
        match hints.iter_mut().find(|(queue, _)| *queue == job.queue) {
            Some((_, ids)) => ids.push(job.fence.id),
            None => hints.push((job.queue.clone(), vec![job.fence.id])),
        }
    }
    hints
}

/// Sends all hints that were settled since the last call, in one call. If Redis is unavailable and misses them, the
/// reaper removes them when their leases in Redis run out.
pub(crate) async fn dispose(state: Arc<WorkerState>, mut settled: mpsc::UnboundedReceiver<SettledHints>) {
    let mut batch = Vec::new();
    while settled.recv_many(&mut batch, 64).await > 0 {
        let ack = by_queue(batch.iter().flat_map(|hints| &hints.ack));
        let release = by_queue(batch.iter().flat_map(|hints| &hints.release));
        batch.clear();
        if state.redis.is_unavailable() {
            continue;
        }
        if !ack.is_empty()
            && let Err(error) = state.handoff.ack(&ack).await
        {
            state.redis.failed(&error);
        }
        for (queue, ids) in release {
            give_back(&state, &queue, &ids).await;
        }
    }
}

/// Hints that other workers may take now.
pub(crate) async fn give_back(state: &WorkerState, queue: &QueueName, ids: &[JobId]) {
    if !ids.is_empty()
        && let Err(error) = state.handoff.release(queue, ids).await
    {
        state.redis.failed(&error);
    }
}
