//! The span of a call that enqueues jobs: `send {queue}`.

use super::context::{SYSTEM, TARGET, is_on, remote, sampled};
use opentelemetry::{Context, trace::Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most contexts of callers to which a span links.
const LINKS_MAX: usize = 128;

/// The span of one call that enqueues.
#[derive(Debug)]
pub struct SendSpan {
    span: Span,
    context: Context,
    traceparent: Option<String>,
}

impl SendSpan {
    /// Begins the span of a call that enqueues `count` jobs into one queue (`None`: into several). `given`: the contexts that callers gave
    /// to jobs, one of each job that has one. These jobs keep them, and the span links to them. `None`: traces are off.
    #[must_use]
    pub fn begin<'a>(queue: Option<&str>, count: usize, given: impl Iterator<Item = &'a str>) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let mut given: Vec<&str> = given.collect();
        // The other jobs get the context of the span.
        let kind = if given.len() < count { "producer" } else { "client" };
        let name = queue.map_or_else(|| "send".to_owned(), |queue| format!("send {queue}"));
        let span = tracing::info_span!(
            target: TARGET,
            "send",
            otel.name = name.as_str(),
            otel.kind = kind,
            "messaging.system" = SYSTEM,
            "messaging.operation.name" = "send",
            "messaging.operation.type" = "send",
        );
        if let Some(queue) = queue {
            span.set_attribute("messaging.destination.name", queue.to_owned());
        }
        if count != 1 {
            span.set_attribute("messaging.batch.message_count", i64::try_from(count).unwrap_or(i64::MAX));
        }
        given.sort_unstable();
        given.dedup();
        given.iter().take(LINKS_MAX).filter_map(|given| remote(given)).for_each(|context| span.add_link(context));
        let context = span.context();
        Some(Self { traceparent: sampled(&context), span, context })
    }

    /// The span to run the call in.
    #[must_use]
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// The context that the jobs store; `None` if the span is not sampled.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Ends the span. `answer`: the id of the job, if the call was about one job; or what kind of error it was.
    pub fn end(&self, answer: Result<Option<String>, &'static str>) {
        use opentelemetry::trace::TraceContextExt;
        match answer {
            Ok(Some(id)) => self.span.set_attribute("messaging.message.id", id),
            Ok(None) => {}
            Err(error) => {
                self.span.set_attribute("error.type", error);
                self.span.set_status(Status::error(""));
            }
        }
        self.context.span().end();
    }
}
