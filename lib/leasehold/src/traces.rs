//! Spans of OpenTelemetry for enqueues and runs.
//!
//! An enqueue is a span `send {queue}`, whose context the job stores. A run is a span `process {queue}`: the root of a new trace,
//! with a link to the enqueue and a link to the previous attempt. Spans of the crate `tracing` in a handler belong to the span of
//! its run. No span has a payload, a result or the text of an error. Without one of the functions below, no span is made.
//!
//! With the feature `otlp`, Leasehold exports the spans itself:
//!
//! ```no_run
//! # #[cfg(feature = "otlp")]
//! # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
//! use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};
//!
//! let config = leasehold::Config::load()?;
//! let traces = leasehold::traces::start(&config, "shop")?;
//! let layer = traces.as_ref().map(leasehold::traces::Traces::layer);
//! tracing_subscriber::registry().with(layer).with(tracing_subscriber::fmt::layer()).init();
//! // … the program …
//! if let Some(traces) = traces {
//!     traces.stop(std::time::Duration::from_secs(1)).await;
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "otlp")]
pub use leasehold_telemetry::traces::{RunIds, Traces, TracesError};
pub use leasehold_telemetry::traces::{TARGET, turn_on};

/// Starts the export of spans to the collector that `telemetry.otlp_endpoint` or a variable `OTEL_EXPORTER_OTLP_…` names; `None`
/// if no setting and no variable names a collector. `service` is the name of the service, unless a setting or a variable has
/// another one. Needs a runtime of tokio.
///
/// ```
/// let config = leasehold::Config::default();
/// assert!(leasehold::traces::start(&config, "shop")?.is_none(), "no collector is named");
/// # Ok::<(), leasehold::traces::TracesError>(())
/// ```
///
/// # Errors
/// A setting or a variable has an impossible value.
#[cfg(feature = "otlp")]
pub fn start(config: &crate::Config, service: &str) -> Result<Option<Traces>, TracesError> {
    Traces::start(&config.trace_settings(), service)
}
