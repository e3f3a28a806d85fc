//! Logs: to standard error, so that standard output is data only.

use crate::{failure::Failure, output::progress};
use leasehold::{LogConfig, LogFormat};
use leasehold_telemetry::traces::{TARGET, Traces};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How much a process logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// What `log.filter` selects.
    AsSet,
    /// Warnings only, unless `log.filter` is set: for commands whose output people read.
    Quiet,
}

/// The pool of connections warns of each broken connection; Leasehold logs once that PostgreSQL is unavailable. This filter
/// comes first, so `log.filter` can turn the warnings of the pool on again.
const CONNECTIONS: &str = "sqlx_core::pool=error";

/// Starts the log of this process, and the layer that takes its spans.
pub(crate) fn start(config: &LogConfig, log: Log, traces: Option<&Traces>) -> Result<(), Failure> {
    let silenced = log == Log::Quiet && config.filter == LogConfig::default().filter;
    let wanted = if silenced { "warn" } else { &config.filter };
    let filter = EnvFilter::try_new(format!("{CONNECTIONS},{wanted}"))
        .map_err(|error| Failure::usage(format!("log.filter is {:?}: {error}", config.filter)))?;
    if let Some(traces) = traces {
        let lines = tracing_subscriber::fmt::layer().with_writer(AroundBars).with_ansi(io::stderr().is_terminal());
        let lines = lines.log_internal_errors(false);
        match config.format {
            LogFormat::Plain => start_with(traces, lines.compact(), filter),
            LogFormat::Json => start_with(traces, lines.json().flatten_event(true), filter),
        }
        return Ok(());
    }
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(AroundBars).with_ansi(io::stderr().is_terminal());
    // After the terminal is closed, no user can read an error about the log, and printing the error would panic.
    let builder = builder.log_internal_errors(false);
    match config.format {
        LogFormat::Plain => builder.compact().init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The log and the spans. The filter of the log decides nothing about the spans, and the spans are no part of log lines.
fn start_with(traces: &Traces, lines: impl Layer<Registry> + Send + Sync, filter: EnvFilter) {
    let lines = lines.with_filter(filter.and(filter_fn(|metadata| metadata.target() != TARGET)));
    tracing_subscriber::registry().with(lines).with(traces.layer()).init();
}

/// Standard error. Progress bars are hidden while a line is written.
struct AroundBars;

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for AroundBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        progress::bars().suspend(|| io::stderr().write(line))
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
