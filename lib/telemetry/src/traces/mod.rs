//! Traces: the spans of OpenTelemetry for a request, an enqueue and a run.
//!
//! - `context` is the switch of all spans, and reads and writes the header `traceparent` of W3C Trace Context.
//! - `sent` is the span of a call that enqueues, `run` the span of a run, `request` the span of an HTTP request. Names and
//!   attributes follow the semantic conventions for messaging and for HTTP.
//! - `run_ids` gives the span of a run an id that follows from the name of the run.
//! - `settings` says where spans go. With the feature `otlp`: `target` decides about the collector, `exporting` starts the export,
//!   `queue` holds the spans until a batch is sent, and `http_client` sends a batch over HTTP.
//!
//! Spans are spans of the crate `tracing`. So the spans that a handler makes belong to the span of its run. No span has a
//! payload, a result, the text of an error, a token or a query of a URL.
//!
//! While traces are off, every function here returns after it has read one flag.

mod context;
mod counts;
mod request;
mod run;
mod run_ids;
mod sent;
mod settings;

#[cfg(feature = "otlp")]
mod exporting;
#[cfg(feature = "otlp")]
mod http_client;
#[cfg(feature = "otlp")]
mod queue;
#[cfg(feature = "otlp")]
mod target;

pub use context::{TARGET, current, is_on, is_sampled, turn_on, within_trace};
#[cfg(feature = "otlp")]
pub use exporting::{Traces, is_exported};
pub use request::RequestSpan;
pub use run::{RunSpan, TracedRun};
#[cfg(feature = "otlp")]
pub use run_ids::RunIds;
pub use sent::SendSpan;
pub use settings::{OtlpProtocol, TraceSettings};
#[cfg(feature = "otlp")]
pub use target::TracesError;

pub(crate) use counts::SpanCounts;
