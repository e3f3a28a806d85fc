//! Runs jobs of a queue in memory, one after another, through the handlers of a worker.

use super::Queue;
use crate::{Error, StopReason, Tally, WorkerBuilder, worker::Parts};
use leasehold_client::StoreError;
use leasehold_core::{ClaimedJob, FinishedRun, Kind, Outcome, Settle, Settled, WorkerId};
use leasehold_memory::Row;
use leasehold_ports::{Claims, Kinds, Notice, Settles};
use leasehold_worker::{Handler, Run, followed, judge};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// Used in place of a random number: the middle of the range, so that a test sees the same delays each time.
const MIDDLE: f64 = 0.5;

/// Runs every due job that the worker serves, at most once each.
pub(super) async fn drain(queue: &Queue, worker: WorkerBuilder) -> Result<Tally, Error> {
    let Parts { config, handlers, any_kind, queues } = worker.parts()?;
    let handler_of = |kind: &Kind| {
        let own = handlers.iter().rfind(|(of, _)| of == kind).map(|(_, handler)| handler);
        own.or(any_kind.as_ref())
    };
    let (worker, mut notices) = (WorkerId::new(), queue.head.listen());
    let mut tally = Tally::default();
    let mut begun = BTreeSet::new();
    loop {
        let fits = |row: &Row| {
            let served = queues.iter().any(|(name, _)| *name == row.job.queue);
            served && !begun.contains(&row.life.id) && handler_of(&row.job.kind).is_some()
        };
        let first = {
            let rows = queue.store.rows();
            rows.first_in_line(fits).map(|id| (id, rows.live[&id].job.queue.clone()))
        };
        let Some((id, of)) = first else { return Ok(tally) };
        begun.insert(id);
        let claimed = queue.store.claim(worker, &of, &[id], &Kinds::All, config.lease()).await;
        // Another task may have cancelled the job.
        let Some(run) = claimed.map_err(StoreError::from)?.pop().map(|job| run_of(queue, job)) else { continue };
        let Some(handler) = handler_of(&run.job().kind) else { continue };
        tally.claimed += 1;
        let outcome = judge(&run, {
            let ended = execute(Arc::clone(handler), &run);
            stop_when_cancelled(&run, &mut notices, ended).await
        });
        let tries = run.job().tries(handler.backoff().unwrap_or(config.backoff()), Duration::ZERO);
        let Some(settle) = outcome.settle(&tries, MIDDLE) else { continue };
        match write(queue, &run, followed(&run, settle)).await? {
            Some(Settle::Complete(_) | Settle::CompleteThen(_)) => tally.succeeded += 1,
            Some(Settle::Retry { .. }) => tally.retried += 1,
            Some(Settle::Snooze { .. }) => tally.snoozed += 1,
            Some(Settle::Release) => tally.released += 1,
            Some(Settle::Bury { .. }) => tally.buried += 1,
            Some(Settle::Cancel) => tally.cancelled += 1,
            None => tally.stale_writes_refused += 1,
        }
        queue.promote();
    }
}

fn run_of(queue: &Queue, job: ClaimedJob) -> Run {
    Run::new_in(Arc::new(queue.store.clone()), job)
}

/// Writes the end of a run. Returns the end that was written: a run that does not succeed is cancelled, if somebody has asked
/// for a cancel. `None`: the run was no longer the current run of its job.
async fn write(queue: &Queue, run: &Run, settle: Settle) -> Result<Option<Settle>, Error> {
    for settle in [settle, Settle::Cancel] {
        let finished = FinishedRun { fence: run.fence(), settle: settle.clone() };
        let answers = queue.store.settle(run.fence().worker, &[finished]).await.map_err(StoreError::from)?;
        match answers.first() {
            Some(Settled::Done) => {
                let hint = (run.job().queue.clone(), vec![run.fence().id]);
                queue.head.ack(&[hint]).await.map_err(StoreError::from)?;
                return Ok(Some(settle));
            }
            Some(Settled::CancelWanted) => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Waits for the end of a run, and stops the run when a client cancels the job.
async fn stop_when_cancelled(
    run: &Run,
    notices: &mut mpsc::Receiver<Notice>,
    ended: impl Future<Output = Outcome>,
) -> Outcome {
    tokio::pin!(ended);
    loop {
        tokio::select! {
            outcome = &mut ended => return outcome,
            Some(notice) = notices.recv() => {
                let fence = run.fence();
                if notice == (Notice::Cancel { id: fence.id, epoch: fence.epoch, worker: fence.worker }) {
                    run.stop(StopReason::Cancelled);
                }
            }
        }
    }
}

/// Runs one handler to its outcome, as a worker does: in a separate task, with the timeout of the job.
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
