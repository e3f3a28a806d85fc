//! The switch of all spans, and the context of a trace as the text that W3C Trace Context calls `traceparent`.

use opentelemetry::{
    Context,
    trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The target of all spans of Leasehold. It does not begin with `leasehold`: a filter of logs such as `leasehold=info` would then make
/// these spans a part of log lines.
pub const TARGET: &str = "otel::leasehold";

/// The value of `messaging.system`.
pub(super) const SYSTEM: &str = "leasehold";

static ON: AtomicBool = AtomicBool::new(false);

/// Whether spans are made.
#[must_use]
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Makes spans from now on. A program whose subscriber has a layer of `tracing-opentelemetry` calls this.
pub fn turn_on() {
    ON.store(true, Relaxed);
}

/// Makes no more spans.
#[cfg(feature = "otlp")]
pub(super) fn turn_off() {
    ON.store(false, Relaxed);
}

/// The context of the span that this code runs in, as a `traceparent`. `None`: there is no such span, or it is not sampled.
#[must_use]
pub fn current() -> Option<String> {
    if !is_on() {
        return None;
    }
    sampled(&Context::current())
}

/// Whether this code runs in a span that is sampled.
#[must_use]
pub fn is_sampled() -> bool {
    is_on() && Context::current().span().span_context().is_sampled()
}

/// Runs a future as a part of the trace of a caller. A `traceparent` that cannot be read counts as none.
pub async fn within_trace<F: Future>(traceparent: Option<&str>, future: F) -> F::Output {
    match traceparent.and_then(remote) {
        Some(caller) => future.with_context(Context::new().with_remote_span_context(caller)).await,
        None => future.await,
    }
}

/// The `traceparent` of a context whose span is sampled.
pub(super) fn sampled(context: &Context) -> Option<String> {
    let span = context.span();
    let context = span.span_context();
    (context.is_valid() && context.is_sampled())
        .then(|| format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8()))
}

/// The span that a `traceparent` of version 00 names. `None`: the text is no such `traceparent`.
pub(super) fn remote(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let mut part = |length| parts.next().filter(|part| part.len() == length && part.is_ascii());
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version != "00" || parts.next().is_some() {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        let context = Context::new().with_remote_span_context(remote(SAMPLED).expect("it is valid"));
        assert_eq!(sampled(&context).as_deref(), Some(SAMPLED));
    }

    #[test]
    fn what_is_not_sampled_is_not_passed_on() {
        let unsampled = remote(&SAMPLED.replace("-01", "-00")).expect("it is valid");
        assert_eq!(sampled(&Context::new().with_remote_span_context(unsampled)), None);
        assert_eq!(sampled(&Context::new()), None);
    }

    #[test]
    fn other_texts_are_no_context() {
        for bad in [
            "",
            "00-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        ] {
            assert!(remote(bad).is_none(), "{bad}");
        }
    }
}
