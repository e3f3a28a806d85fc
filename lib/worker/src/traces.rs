//! The span of a run, from what the worker knows about the run.

use crate::run::{Run, StopReason};
use leasehold_core::Outcome;
use leasehold_telemetry::traces::{RunSpan, TracedRun, is_on};

/// Begins the span of a run that begins. `None`: traces are off. In a box, because it would make the task of every run larger.
pub(crate) fn begin(run: &Run) -> Option<Box<RunSpan>> {
    // The texts below are made only for a span.
    if !is_on() {
        return None;
    }
    let job = run.job();
    let (job_text, worker) = (job.fence.id.to_string(), job.fence.worker.to_string());
    let span = RunSpan::begin(&TracedRun {
        job: job.fence.id.0.as_bytes(),
        job_text: &job_text,
        epoch: job.fence.epoch.into(),
        attempt: job.attempt,
        queue: job.queue.as_str(),
        kind: job.kind.as_str(),
        worker: &worker,
        traceparent: job.traceparent.as_deref(),
    });
    span.map(Box::new)
}

/// Ends the span of a run. The text of an error is not a part of the span: it may quote the payload.
pub(crate) fn end(span: &RunSpan, run: &Run, outcome: &Outcome, has_panicked: bool) {
    let (outcome, error) = names(run.stop_reason(), outcome, has_panicked);
    span.end(outcome, error);
}

/// How a run ended, and what kind of error it was.
const fn names(
    told: Option<StopReason>,
    outcome: &Outcome,
    has_panicked: bool,
) -> (&'static str, Option<&'static str>) {
    let error = match outcome {
        Outcome::Failed(_) | Outcome::RetryIn(..) => match told {
            Some(StopReason::TimedOut) => Some("timeout"),
            _ if has_panicked => Some("panic"),
            _ => Some("failed"),
        },
        Outcome::Hopeless(_) => Some("hopeless"),
        Outcome::Lacking(_) => Some("lacking"),
        Outcome::Lost => Some("lease_lost"),
        _ => None,
    };
    (outcome.as_str(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_kind_and_no_text() {
        let failed = || Outcome::Failed("card 4242".to_owned());
        assert_eq!(names(None, &failed(), false), ("failed", Some("failed")));
        assert_eq!(names(None, &failed(), true), ("failed", Some("panic")));
        assert_eq!(names(Some(StopReason::TimedOut), &failed(), false), ("failed", Some("timeout")));
        assert_eq!(names(Some(StopReason::Cancelled), &Outcome::Cancelled, false), ("cancelled", None));
        assert_eq!(names(None, &Outcome::Succeeded(None), false), ("succeeded", None));
    }
}
