//! The ids of the span of a run follow from the name of the run, which is the id of the job and the epoch.
//!
//! So the next run can link to the previous run although no process has stored a context, even if the worker of the previous run
//! was killed. See ADR 43.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// Makes the ids differ from all other hashes of the same bytes.
const DOMAIN: &[u8] = b"leasehold run";

/// The ids of the span of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

thread_local! {
    /// The ids of the span that this thread is about to start.
    static NEXT: Cell<Option<Ids>> = const { Cell::new(None) };
}

impl Ids {
    /// The ids of the run of a job with this epoch. The first half of the trace id is of the run, the second half of the job: samplers
    /// decide by the second half, so all runs of a job are sampled, or none.
    pub(super) fn of(job: &[u8; 16], epoch: i64) -> Self {
        let of_job = Sha256::new().chain_update(DOMAIN).chain_update(job);
        let of_run: [u8; 32] = of_job.clone().chain_update(epoch.to_be_bytes()).finalize().into();
        let of_job: [u8; 32] = of_job.finalize().into();
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace[..8].copy_from_slice(&of_run[..8]);
        trace[8..].copy_from_slice(&of_job[..8]);
        span.copy_from_slice(&of_run[8..16]);
        Self { trace: TraceId::from_bytes(trace), span: SpanId::from_bytes(span) }
    }

    /// Starts a span by `start`. If the provider of the span asks [`RunIds`], the span has these ids.
    pub(super) fn lent<T>(self, start: impl FnOnce() -> T) -> T {
        NEXT.set(Some(self));
        let started = start();
        NEXT.set(None);
        started
    }

    /// The span with these ids, in another process.
    pub(super) fn remote(self, is_sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::default())
    }
}

/// Makes ids of spans: for the span of a run, ids that are computed from the run; for all other spans, random ids. Give this to
/// the provider of your spans, so that the span of an attempt links to the span of the attempt before.
#[cfg(feature = "otlp")]
#[derive(Clone, Debug, Default)]
pub struct RunIds(opentelemetry_sdk::trace::RandomIdGenerator);

#[cfg(feature = "otlp")]
impl opentelemetry_sdk::trace::IdGenerator for RunIds {
    fn new_trace_id(&self) -> TraceId {
        NEXT.get().map_or_else(|| self.0.new_trace_id(), |ids| ids.trace)
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().map_or_else(|| self.0.new_span_id(), |ids| ids.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_follow_from_the_run() {
        let (job, other) = ([7; 16], [8; 16]);
        let first = Ids::of(&job, 1);
        assert_eq!(first, Ids::of(&job, 1));
        // The package in Python computes the same ids, and has this line too.
        assert_eq!(format!("{} {}", first.trace, first.span), "8239c5720fa35e3cc92b84fbfd819268 69828edeee1bef9d");
        for different in [Ids::of(&job, 2), Ids::of(&other, 1)] {
            assert!(different.trace != first.trace && different.span != first.span);
        }
        let by_job = |ids: Ids| ids.trace.to_bytes()[8..].to_vec();
        assert_eq!(by_job(first), by_job(Ids::of(&job, 2)));
    }
}
