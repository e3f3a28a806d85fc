//! One run from its claim to what is to be written: `wait for a slot → resolve → run (timeout, panic caught) → classify`,
//! then on to the settler.

use crate::{
    capacity::{PREFETCH_TIMEOUT, Reservation},
    handler::Handler,
    run::{Run, StopReason},
    settler::Ended,
    shortage,
    worker_state::WorkerState,
};
use leasehold_core::{FailPoint, Outcome, RESULT_MAX_BYTES, pass};
use std::{any::Any, sync::Arc, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::JoinError,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How a handler came to its end.
enum End {
    Returned(Outcome),
    Panicked(String),
    /// It was told to stop and did not.
    Dropped,
}

/// The run as a pipeline. Slot and reservation are free again when its result is with the settler.
pub(crate) async fn attempt(state: Arc<WorkerState>, run: Run, reservation: Reservation) {
    let slot = match reservation.slot_now() {
        Some(slot) => Some(slot),
        None => wait_for_slot(&state, &run, &reservation).await,
    };
    let handler = state.handlers.resolve(&run.job().kind);
    let backoff = handler.as_ref().and_then(|handler| handler.backoff()).unwrap_or(state.settings.backoff);
    let outcome = match (&slot, handler) {
        (Some(_), Some(handler)) => {
            let begun = Instant::now();
            let outcome = classify(&run, execute(handler, &run).await, &state);
            match &outcome {
                // How long that took says nothing about the runs of now.
                Outcome::Lacking(what) => shortage::noted(&state, what),
                _ => reservation.took(begun.elapsed()),
            }
            outcome
        }
        // Never begun. Claims name the kinds that there are handlers for, so it is the slot that is missing.
        _ => outcome_unbegun(run.stop_reason()),
    };
    pass(FailPoint::RunEnded);
    let job = run.job();
    match outcome.settle(job.attempt, job.max_attempts, &backoff, state.jitter.fraction()) {
        // The receiver outlives every run; if it did not, the lease would run out and the job run again.
        Some(settle) => drop(state.ended.send(Ended { run, settle }).await),
        None => state.runs.remove([&run].into_iter()),
    }
    drop((slot, reservation));
}

/// For a job that is held ahead. None when it is not to be begun here: the worker stops, the job is told to, or the slots
/// are busy for longer than was thought, and another worker may be free.
async fn wait_for_slot(state: &WorkerState, run: &Run, reservation: &Reservation) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = state.stopping.cancelled() => None,
        _ = run.cancelled() => None,
        slot = reservation.slot() => slot,
        () = sleep(PREFETCH_TIMEOUT) => {
            reservation.slot_wait_timed_out();
            None
        }
    }
}

/// What a run came to that was never begun: given back, unless it was told otherwise.
const fn outcome_unbegun(told: Option<StopReason>) -> Outcome {
    match told {
        Some(StopReason::LeaseLost) => Outcome::Lost,
        Some(StopReason::Cancelled) => Outcome::Cancelled,
        Some(StopReason::Stopping | StopReason::TimedOut) | None => Outcome::Interrupted,
    }
}

/// Runs the handler in a task of its own, so that its panic ends nothing else and one that blocks its thread can be left.
async fn execute(handler: Arc<dyn Handler>, run: &Run) -> End {
    let moment = handler.stop_timeout();
    let its_run = run.clone();
    let mut task = tokio::spawn(async move { handler.run(its_run).await });
    tokio::select! {
        biased;
        ended = &mut task => return End::from(ended),
        _ = run.cancelled() => {}
        () = time_out(run.job().timeout) => { run.stop(StopReason::TimedOut); }
    }
    match timeout(moment, &mut task).await {
        Ok(ended) => End::from(ended),
        Err(_) => {
            task.abort();
            End::Dropped
        }
    }
}

async fn time_out(after: Option<Duration>) {
    match after {
        Some(after) => sleep_until(Instant::now() + after).await,
        None => std::future::pending().await,
    }
}

impl From<Result<Outcome, JoinError>> for End {
    fn from(ended: Result<Outcome, JoinError>) -> Self {
        match ended.map_err(JoinError::try_into_panic) {
            Ok(outcome) => Self::Returned(outcome),
            Err(Ok(panic)) => Self::Panicked(format!("the handler panicked: {}", message(&*panic))),
            Err(Err(_)) => Self::Dropped,
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with a value that is no text")
}

fn classify(run: &Run, end: End, state: &WorkerState) -> Outcome {
    let reason = run.stop_reason();
    if reason == Some(StopReason::LeaseLost) && matches!(end, End::Returned(Outcome::Succeeded(_))) {
        state.counters.stale_writes_refused.add(1);
    }
    outcome(reason, end, run.job().timeout.unwrap_or_default())
}

/// What the run came to, from how its handler ended and what it had been told.
fn outcome(told: Option<StopReason>, end: End, timeout: Duration) -> Outcome {
    use StopReason::{Cancelled, LeaseLost, Stopping, TimedOut};
    let returned = match end {
        End::Returned(outcome) => Some(bounded(outcome)),
        End::Panicked(message) => Some(Outcome::Failed(message)),
        End::Dropped => None,
    };
    match (told, returned) {
        (Some(LeaseLost), _) => Outcome::Lost,
        (Some(TimedOut), Some(Outcome::Failed(error))) if !error.is_empty() => {
            Outcome::Failed(format!("timed out after {timeout:?}: {error}"))
        }
        (Some(TimedOut), Some(_)) => Outcome::Failed(format!("timed out after {timeout:?}")),
        (Some(TimedOut), None) => Outcome::Failed(format!(
            "timed out after {timeout:?}; the handler did not stop when told to, and was dropped"
        )),
        // It was quicker than the one who wanted it stopped.
        (Some(Cancelled | Stopping), Some(Outcome::Succeeded(result))) => Outcome::Succeeded(result),
        (Some(Cancelled), _) => Outcome::Cancelled,
        // A handler that is stopped often reports a failure; a deploy must not spend an attempt for it.
        (Some(Stopping), Some(kept @ (Outcome::Hopeless(_) | Outcome::Snoozed(..)))) => kept,
        (Some(Stopping), _) => Outcome::Interrupted,
        (None, Some(Outcome::Interrupted | Outcome::Cancelled | Outcome::Lost) | None) => {
            Outcome::Failed("the handler stopped although nobody had told it to".to_owned())
        }
        (None, Some(outcome)) => outcome,
    }
}

/// A result that is too large can never be stored: running the job again would not help.
fn bounded(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Succeeded(Some(result)) if result.get().len() > RESULT_MAX_BYTES => Outcome::Hopeless(format!(
            "the result is {} bytes long; at most {RESULT_MAX_BYTES} are allowed",
            result.get().len()
        )),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(told: Option<StopReason>, end: End) -> String {
        match outcome(told, end, Duration::from_millis(1500)) {
            Outcome::Succeeded(_) => "succeeded".to_owned(),
            Outcome::Failed(error) => error,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_a_handler_was_told_decides_about_what_it_returned() {
        use StopReason::{Cancelled, LeaseLost, Stopping, TimedOut};
        let succeeded = || End::Returned(Outcome::Succeeded(None));
        let failed = || End::Returned(Outcome::Failed("broken".to_owned()));
        assert_eq!(name(None, succeeded()), "succeeded");
        assert_eq!(name(None, failed()), "broken");
        assert_eq!(name(Some(Cancelled), succeeded()), "succeeded");
        assert_eq!(name(Some(Cancelled), failed()), "Cancelled");
        assert_eq!(name(Some(Cancelled), End::Dropped), "Cancelled");
        assert_eq!(name(Some(Stopping), succeeded()), "succeeded");
        assert_eq!(name(Some(Stopping), failed()), "Interrupted");
        assert_eq!(name(Some(Stopping), End::Dropped), "Interrupted");
        assert_eq!(name(Some(LeaseLost), succeeded()), "Lost");
        assert_eq!(name(Some(TimedOut), succeeded()), "timed out after 1.5s");
        assert_eq!(name(Some(TimedOut), failed()), "timed out after 1.5s: broken");
        assert!(name(Some(TimedOut), End::Dropped).starts_with("timed out after 1.5s; the handler did not stop"));
    }

    #[test]
    fn a_handler_cannot_say_that_it_was_stopped_when_it_was_not() {
        for lie in [Outcome::Interrupted, Outcome::Cancelled, Outcome::Lost] {
            assert_eq!(name(None, End::Returned(lie)), "the handler stopped although nobody had told it to");
        }
    }
}
