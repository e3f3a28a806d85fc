//! The span of a run: `process {queue}`, the root of a new trace.

use super::{
    context::{SYSTEM, TARGET, is_on, remote},
    run_ids::Ids,
};
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The attribute of a link that says which span the link points to.
const LINK: &str = "messaging.leasehold.link";

/// The attributes of the span of a run.
#[derive(Clone, Copy, Debug)]
pub struct TracedRun<'a> {
    /// The id of the job.
    pub job: &'a [u8; 16],
    /// The id of the job as text.
    pub job_text: &'a str,
    /// The epoch of the run.
    pub epoch: i64,
    /// The number of the attempt; 1 is the first.
    pub attempt: i32,
    /// The queue.
    pub queue: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The worker.
    pub worker: &'a str,
    /// The context that the job was enqueued in.
    pub traceparent: Option<&'a str>,
}

/// The span of one run.
#[derive(Debug)]
pub struct RunSpan {
    span: Span,
    context: Context,
}

impl RunSpan {
    /// Begins the span of a run. It links to the span that enqueued the job, and to the span of the attempt before. `None`: traces are
    /// off.
    #[must_use]
    pub fn begin(run: &TracedRun<'_>) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let name = format!("process {}", run.queue);
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "process",
            otel.name = name.as_str(),
            otel.kind = "consumer",
            "messaging.system" = SYSTEM,
            "messaging.operation.name" = "process",
            "messaging.operation.type" = "process",
            "messaging.destination.name" = run.queue,
            "messaging.message.id" = run.job_text,
            "messaging.client.id" = run.worker,
            "messaging.leasehold.kind" = run.kind,
            "messaging.leasehold.attempt" = run.attempt,
            "messaging.leasehold.epoch" = run.epoch,
        );
        if let Some(enqueued) = run.traceparent.and_then(remote) {
            span.add_link_with_attributes(enqueued, vec![KeyValue::new(LINK, "enqueue")]);
        }
        let ids = Ids::of(run.job, run.epoch);
        let context = ids.lent(|| span.context());
        let has_our_ids = context.span().span_context().trace_id() == ids.trace;
        // Without these ids, the ids of the previous attempt are unknown.
        if has_our_ids && run.attempt > 1 && run.epoch > 1 {
            let is_sampled = context.span().span_context().is_sampled();
            let before = Ids::of(run.job, run.epoch - 1).remote(is_sampled);
            span.add_link_with_attributes(before, vec![KeyValue::new(LINK, "attempt_before")]);
        }
        Some(Self { span, context })
    }

    /// The span to run the handler in.
    #[must_use]
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the span: how the run ended, and what kind of error it was.
    pub fn end(&self, outcome: &'static str, error: Option<&'static str>) {
        self.span.set_attribute("messaging.leasehold.outcome", outcome);
        if let Some(error) = error {
            self.span.set_attribute("error.type", error);
            self.span.set_status(Status::error(""));
        }
        // A handler that does not stop keeps its span; the run has ended all the same.
        self.context.span().end();
    }
}
