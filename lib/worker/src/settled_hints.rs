//! Acknowledges the hints of settled runs in Redis. This is a separate task, so that no settle waits for Redis.

use crate::{run::Run, worker_state::WorkerState};
use leasehold_core::{ClaimedJob, JobId, QueueName};
use leasehold_ports::{Hint, Notice, Waiting};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The hints of settled runs.
#[derive(Debug, Default)]
pub(crate) struct SettledHints {
    /// The jobs are no longer in the line.
    pub(crate) ack: Vec<Run>,
    /// The jobs are back in the line.
    pub(crate) release: Vec<Run>,
    /// Jobs that waited for these runs, or follow from them, and are now in the line; and jobs that have left the line.
    pub(crate) unblocked: Vec<Waiting>,
    /// Jobs that have ended, if clients wait for jobs.
    pub(crate) ended: Vec<JobId>,
    /// The shortest time after which one of the jobs runs again.
    pub(crate) next_due: Option<Duration>,
}

/// A value of each run by queue, as Redis expects them.
pub(crate) fn by_queue<'a, T>(
    runs: impl Iterator<Item = &'a Run>,
    value: impl Fn(&ClaimedJob) -> T,
) -> Vec<(QueueName, Vec<T>)> {
    let mut groups: Vec<(QueueName, Vec<T>)> = Vec::new();
    for job in runs.map(Run::job) {
        // There are few queues: a search in a list is faster than a hash.
        match groups.iter_mut().find(|(queue, _)| *queue == job.queue) {
            Some((_, values)) => values.push(value(job)),
            None => groups.push((job.queue.clone(), vec![value(job)])),
        }
    }
    groups
}

/// The hints of jobs that have come into the line, by queue, in the order of each line.
fn hints_of<'a>(unblocked: impl Iterator<Item = &'a Waiting>) -> BTreeMap<QueueName, Vec<Hint>> {
    let mut groups: BTreeMap<QueueName, Vec<Hint>> = BTreeMap::new();
    for job in unblocked {
        groups.entry(job.queue.clone()).or_default().push(Hint::at(job.id, job.line_at));
    }
    for hints in groups.values_mut() {
        hints.sort_unstable_by_key(|hint| (hint.line_at, hint.id));
    }
    groups
}

/// Sends all hints that were settled since the last call, in one call. If Redis is unavailable and misses them, the
/// reaper removes them when their leases in Redis run out.
pub(crate) async fn dispose(state: Arc<WorkerState>, mut settled: mpsc::UnboundedReceiver<SettledHints>) {
    let mut batch = Vec::new();
    while settled.recv_many(&mut batch, 64).await > 0 {
        let ack = by_queue(batch.iter().flat_map(|hints| &hints.ack), |job| job.fence.id);
        let release =
            by_queue(batch.iter().flat_map(|hints| &hints.release), |job| Hint::at(job.fence.id, job.line_at));
        let unblocked = hints_of(batch.iter().flat_map(|hints| &hints.unblocked).filter(|job| job.is_in_line));
        let mut parked: BTreeMap<QueueName, Vec<Vec<u8>>> = BTreeMap::new();
        for job in batch.iter().flat_map(|hints| &hints.unblocked).filter(|job| !job.is_in_line) {
            parked.entry(job.queue.clone()).or_default().push(job.id.to_string().into_bytes());
        }
        let ended: Vec<JobId> = batch.iter().flat_map(|hints| &hints.ended).copied().collect();
        let next_due = batch.iter().filter_map(|hints| hints.next_due).min();
        batch.clear();
        if state.redis.is_unavailable() {
            continue;
        }
        if !ended.is_empty()
            && let Err(error) = state.handoff.tell_ends(&ended).await
        {
            state.redis.failed(&error);
        }
        if !ack.is_empty()
            && let Err(error) = state.handoff.ack(&ack).await
        {
            state.redis.failed(&error);
        }
        for (queue, hints) in release {
            release_to(&state, &queue, &hints).await;
        }
        for (queue, ids) in parked {
            if let Err(error) = state.handoff.forget(&queue, &ids).await {
                state.redis.failed(&error);
            }
        }
        for (queue, hints) in unblocked {
            if let Err(error) = state.handoff.push(&queue, &hints).await {
                state.redis.failed(&error);
            }
        }
        if let Some(due) = next_due.and_then(Notice::due)
            && let Err(error) = state.handoff.notify(&[due]).await
        {
            state.redis.failed(&error);
        }
    }
}

/// Gives hints back that this worker took and did not use. Other workers may take them now.
pub(crate) async fn give_back(state: &WorkerState, queue: &QueueName, ids: &[JobId]) {
    let hints: Vec<Hint> = ids.iter().copied().map(Hint::unused).collect();
    release_to(state, queue, &hints).await;
}

/// Gives hints back to the head of a queue.
pub(crate) async fn release_to(state: &WorkerState, queue: &QueueName, hints: &[Hint]) {
    if !hints.is_empty()
        && let Err(error) = state.handoff.release(queue, hints).await
    {
        state.redis.failed(&error);
    }
}
