//! One run, from the claim to the result: `wait for a slot → resolve → run (timeout, panic caught) → classify`. The
//! settler then writes the result.

use crate::{
    capacity::{Reservation, Slot, SlotWait},
    encryption::encrypted,
    following::{followed, judge},
    handler::Handler,
    progress, recovery,
    run::{Run, StopReason},
    runs::Ended,
    traces,
    worker_state::WorkerState,
};
use leasehold_core::{Encryption, FailPoint, Outcome, RESERVED, RESULT_MAX_BYTES, is_reserved, pass};
use leasehold_telemetry::traces::RunSpan;
use std::{any::Any, sync::Arc, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::JoinError,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::Instrument;

/// How a handler ended.
enum HandlerEnd {
    Returned(Outcome),
    Panicked(String),
    /// The handler was told to stop and did not stop.
    Dropped,
}

/// The run as a pipeline. `slot`: `None` if the run must ask for a slot itself, when its task begins. The slot and the
/// reservation become free when the settler has the result.
pub(crate) async fn attempt(state: Arc<WorkerState>, run: Run, reservation: Reservation, slot: Option<Slot>) {
    let claimed_at = Instant::now();
    let slot = match slot.unwrap_or_else(|| reservation.slot()) {
        Slot::Free(slot) => Some(slot),
        Slot::Later(wait) => wait_for_slot(&state, &run, &reservation, wait).await,
        Slot::Never => None,
    };
    let begins_in = run.job().begins_in;
    let slot = match slot {
        // In a box, because it would make the task of every run larger.
        Some(slot) if !begins_in.is_zero() => {
            Box::pin(wait_for_token(&state, &run, claimed_at + begins_in)).await.then_some(slot)
        }
        slot => slot,
    };
    let handler = state.handlers.resolve(&run.job().kind);
    let backoff = handler.as_ref().and_then(|handler| handler.backoff()).unwrap_or(state.settings.backoff);
    let outcome = match (&slot, run.job().unreadable(), handler) {
        (Some(_), Some(outcome), _) => outcome,
        (Some(_), None, Some(handler)) => {
            let begun = Instant::now();
            let queue = &run.job().queue;
            state.measures.began(queue, run.job().due_for.map(|due_for| due_for + (begun - claimed_at)));
            let span = traces::begin(&run);
            let end = execute(handler, &run, span.as_deref()).await;
            let has_panicked = matches!(end, HandlerEnd::Panicked(_));
            let outcome = judge(&run, classify(&run, end, &state));
            if let Some(span) = span {
                traces::end(&span, &run, &outcome, has_panicked);
            }
            state.measures.ran(queue, begun.elapsed());
            match &outcome {
                // This wait says nothing about how long runs take now.
                Outcome::Lacking(what) => recovery::begin(&state, what),
                _ => reservation.took(begun.elapsed()),
            }
            match run.job().encryption {
                // In a box, because it would make the task of every run larger.
                Encryption::Decrypted => Box::pin(encrypted(&*state.store, run.fence().id, outcome)).await,
                _ => outcome,
            }
        }
        // The run never began. A claim names the kinds that have a handler, so the slot is missing, not the handler.
        _ => outcome_unbegun(run.stop_reason()),
    };
    pass(FailPoint::RunEnded);
    let tries = run.job().tries(backoff, claimed_at.elapsed());
    match outcome.settle(&tries, state.jitter.fraction()) {
        // The receiver lives longer than every run. Without a receiver the lease would run out, and the job would run
        // again.
        Some(settle) => {
            let settle = followed(&run, settle);
            if progress::is_unwritten(&run) {
                // In a box, because it would make the task of every run larger.
                Box::pin(progress::write_last(&state, &run)).await;
            }
            drop(state.ended.send(Ended { run, settle }).await);
        }
        None => state.runs.remove([&run].into_iter()),
    }
    drop((slot, reservation));
}

/// Waits for a slot for a prefetched job. `None` means that this worker does not run the job: the worker stops, the run was told
/// to stop, or the slots stay busy for longer than expected, so that another worker may have a free slot.
async fn wait_for_slot(
    state: &WorkerState,
    run: &Run,
    reservation: &Reservation,
    wait: SlotWait,
) -> Option<OwnedSemaphorePermit> {
    let patience = reservation.patience();
    tokio::select! {
        biased;
        () = state.stopping.cancelled() => None,
        _ = run.cancelled() => None,
        slot = wait => slot.ok(),
        () = sleep(patience) => {
            reservation.slot_wait_timed_out(patience);
            None
        }
    }
}

/// Waits until the time of the token of a limit key, which the run has already taken. False: this worker does not run the job,
/// because the worker stops, or because the run was told to stop.
async fn wait_for_token(state: &WorkerState, run: &Run, begins_at: Instant) -> bool {
    tokio::select! {
        biased;
        () = state.stopping.cancelled() => false,
        _ = run.cancelled() => false,
        () = sleep_until(begins_at) => true,
    }
}

/// The result of a run that never began: the job is released, unless the run was told to stop for another reason.
const fn outcome_unbegun(told: Option<StopReason>) -> Outcome {
    match told {
        Some(StopReason::LeaseLost) => Outcome::Lost,
        Some(StopReason::Cancelled) => Outcome::Cancelled,
        Some(StopReason::Stopping | StopReason::TimedOut) | None => Outcome::Interrupted,
    }
}

/// Runs the handler in its own task. A panic then ends only this run, and a handler that blocks its thread can be
/// abandoned.
async fn execute(handler: Arc<dyn Handler>, run: &Run, span: Option<&RunSpan>) -> HandlerEnd {
    let moment = handler.stop_timeout();
    let its_run = run.clone();
    let handling = async move { handler.run(its_run).await };
    let mut task = match span {
        None => tokio::spawn(handling),
        Some(span) => tokio::spawn(handling.instrument(span.span().clone())),
    };
    tokio::select! {
        biased;
        ended = &mut task => return HandlerEnd::from(ended),
        _ = run.cancelled() => {}
        () = time_out(run.job().timeout) => { run.stop(StopReason::TimedOut); }
    }
    match timeout(moment, &mut task).await {
        Ok(ended) => HandlerEnd::from(ended),
        Err(_) => {
            task.abort();
            HandlerEnd::Dropped
        }
    }
}

async fn time_out(after: Option<Duration>) {
    match after {
        Some(after) => sleep_until(Instant::now() + after).await,
        None => std::future::pending().await,
    }
}

impl From<Result<Outcome, JoinError>> for HandlerEnd {
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
        .unwrap_or("with a value that is not text")
}

fn classify(run: &Run, end: HandlerEnd, state: &WorkerState) -> Outcome {
    let reason = run.stop_reason();
    if reason == Some(StopReason::LeaseLost) && matches!(end, HandlerEnd::Returned(Outcome::Succeeded(_))) {
        state.counters.stale_writes_refused.add(1);
    }
    outcome(reason, end, run.job().timeout.unwrap_or_default())
}

/// The result of the run, from how the handler ended and why the handler was told to stop.
fn outcome(told: Option<StopReason>, end: HandlerEnd, timeout: Duration) -> Outcome {
    use StopReason::{Cancelled, LeaseLost, Stopping, TimedOut};
    let returned = match end {
        HandlerEnd::Returned(outcome) => Some(bounded(outcome)),
        HandlerEnd::Panicked(message) => Some(Outcome::Failed(message)),
        HandlerEnd::Dropped => None,
    };
    match (told, returned) {
        (Some(LeaseLost), _) => Outcome::Lost,
        (Some(TimedOut), Some(Outcome::Failed(error))) if !error.is_empty() => {
            Outcome::Failed(format!("timed out after {timeout:?}: {error}"))
        }
        (Some(TimedOut), Some(_)) => Outcome::Failed(format!("timed out after {timeout:?}")),
        (Some(TimedOut), None) => {
            Outcome::Failed(format!("timed out after {timeout:?}; the handler did not stop in time and was dropped"))
        }
        // The handler finished before the stop: keep its result.
        (Some(Cancelled | Stopping), Some(Outcome::Succeeded(result))) => Outcome::Succeeded(result),
        (Some(Cancelled), _) => Outcome::Cancelled,
        // A handler that is stopped often returns a failure. A deploy must not spend an attempt for such a failure.
        (Some(Stopping), Some(kept @ (Outcome::Hopeless(_) | Outcome::Snoozed(..)))) => kept,
        (Some(Stopping), _) => Outcome::Interrupted,
        (None, Some(Outcome::Interrupted | Outcome::Cancelled | Outcome::Lost) | None) => {
            Outcome::Failed("the handler reported a stop, but nothing had told the handler to stop".to_owned())
        }
        (None, Some(outcome)) => outcome,
    }
}

/// A result that is too large can never be stored, so another run of the job would not help.
fn bounded(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Succeeded(Some(result)) if result.get().len() > RESULT_MAX_BYTES => Outcome::Hopeless(format!(
            "the result is {} bytes long; at most {RESULT_MAX_BYTES} are allowed",
            result.get().len()
        )),
        Outcome::Succeeded(Some(result)) if is_reserved(result.get()) => {
            Outcome::Hopeless(format!("the result begins with {RESERVED}, which is reserved for encrypted results"))
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(told: Option<StopReason>, end: HandlerEnd) -> String {
        match outcome(told, end, Duration::from_millis(1500)) {
            Outcome::Succeeded(_) => "succeeded".to_owned(),
            Outcome::Failed(error) => error,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_a_handler_was_told_decides_about_what_it_returned() {
        use StopReason::{Cancelled, LeaseLost, Stopping, TimedOut};
        let succeeded = || HandlerEnd::Returned(Outcome::Succeeded(None));
        let failed = || HandlerEnd::Returned(Outcome::Failed("broken".to_owned()));
        assert_eq!(name(None, succeeded()), "succeeded");
        assert_eq!(name(None, failed()), "broken");
        assert_eq!(name(Some(Cancelled), succeeded()), "succeeded");
        assert_eq!(name(Some(Cancelled), failed()), "Cancelled");
        assert_eq!(name(Some(Cancelled), HandlerEnd::Dropped), "Cancelled");
        assert_eq!(name(Some(Stopping), succeeded()), "succeeded");
        assert_eq!(name(Some(Stopping), failed()), "Interrupted");
        assert_eq!(name(Some(Stopping), HandlerEnd::Dropped), "Interrupted");
        assert_eq!(name(Some(LeaseLost), succeeded()), "Lost");
        assert_eq!(name(Some(TimedOut), succeeded()), "timed out after 1.5s");
        assert_eq!(name(Some(TimedOut), failed()), "timed out after 1.5s: broken");
        assert!(
            name(Some(TimedOut), HandlerEnd::Dropped).starts_with("timed out after 1.5s; the handler did not stop")
        );
    }

    #[test]
    fn a_handler_cannot_say_that_it_was_stopped_when_it_was_not() {
        for lie in [Outcome::Interrupted, Outcome::Cancelled, Outcome::Lost] {
            let named = name(None, HandlerEnd::Returned(lie));
            assert_eq!(named, "the handler reported a stop, but nothing had told the handler to stop");
        }
    }
}
