//! Runs jobs of a queue in memory, one after another, through the handlers of a worker.

use super::Queue;
use crate::{Error, StopReason, Tally, WorkerBuilder, worker::Parts};
use leasehold_core::{Kind, Outcome, Settle};
use leasehold_worker::{Handler, Run};
use std::{collections::BTreeSet, sync::Arc};
use tokio::time::timeout;

/// Used in place of a random number: the middle of the range, so that a test sees the same delays each time.
const MIDDLE: f64 = 0.5;

/// Runs every due job that the worker serves, at most once each.
pub(super) async fn drain(queue: &Queue, worker: WorkerBuilder) -> Result<Tally, Error> {
    let Parts { config, handlers, any_kind, queues } = worker.parts()?;
    let handler_of = |kind: &Kind| {
        let own = handlers.iter().rfind(|(of, _)| of == kind).map(|(_, handler)| handler);
        own.or(any_kind.as_ref())
    };
    let mut tally = Tally::default();
    let mut begun = BTreeSet::new();
    loop {
        let claimed = queue.rows(|rows| {
            rows.claim(|job| {
                let served = queues.iter().any(|(name, _)| *name == job.queue);
                served && !begun.contains(&job.id) && handler_of(&job.kind).is_some()
            })
        });
        let Some(run) = claimed else { return Ok(tally) };
        let Some(handler) = handler_of(&run.job().kind) else { return Ok(tally) };
        begun.insert(run.job().fence.id);
        tally.claimed += 1;
        let backoff = handler.backoff().unwrap_or(config.backoff());
        let outcome = execute(Arc::clone(handler), &run).await;
        let job = run.job();
        let Some(settle) = outcome.settle(job.attempt, job.max_attempts, &backoff, MIDDLE) else { continue };
        match queue.rows(|rows| rows.settle(run.fence(), settle)) {
            Some(Settle::Complete(_)) => tally.succeeded += 1,
            Some(Settle::Retry { .. }) => tally.retried += 1,
            Some(Settle::Snooze { .. }) => tally.snoozed += 1,
            Some(Settle::Release) => tally.released += 1,
            Some(Settle::Bury { .. }) => tally.buried += 1,
            Some(Settle::Cancel) => tally.cancelled += 1,
            None => tally.stale_writes_refused += 1,
        }
        queue.tell();
    }
}

/// Runs one handler to its outcome, as a worker does: in a task of its own, with the timeout of the job.
async fn execute(handler: Arc<dyn Handler>, run: &Run) -> Outcome {
    let stop_timeout = handler.stop_timeout();
    let (its_run, job) = (run.clone(), run.job());
    let mut task = tokio::spawn(async move { handler.run(its_run).await });
    let ended = match job.timeout {
        None => (&mut task).await,
        Some(limit) => match timeout(limit, &mut task).await {
            Ok(ended) => ended,
            Err(_) => {
                run.stop(StopReason::TimedOut);
                if timeout(stop_timeout, &mut task).await.is_err() {
                    task.abort();
                }
                return Outcome::Failed(format!("timed out after {limit:?}"));
            }
        },
    };
    let outcome = ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Outcome::Failed(format!("the handler panicked: {}", message(&*panic))),
        Err(error) => Outcome::Failed(error.to_string()),
    });
    match (run.stop_reason(), outcome) {
        (_, outcome @ Outcome::Succeeded(_)) => outcome,
        (Some(StopReason::Cancelled), _) => Outcome::Cancelled,
        (_, outcome) => outcome,
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
