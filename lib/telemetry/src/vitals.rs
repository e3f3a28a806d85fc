//! The three answers of a process about itself.
//!
//! - health: the main loop runs. The answer does not depend on a store: a process must not be killed because its stores are
//!   unavailable.
//! - readiness: the process can do its work now.
//! - metrics: all counters, in the text format of OpenMetrics, which Prometheus reads.

use crate::{
    demands::Demands,
    process::Process,
    queues::Queues,
    stores::{Readiness, Stores},
    traces::SpanCounts,
};
use prometheus_client::{collector::Collector, encoding::text::encode, registry::Registry};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The content type of [`Vitals::metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a process reports about itself.
pub struct Vitals {
    idle_for: Box<dyn Fn() -> Duration + Send + Sync>,
    lack: Box<dyn Fn() -> Option<String> + Send + Sync>,
    patience: Duration,
    stores: Stores,
    queues: Option<Queues>,
    demands: Option<Demands>,
    metrics: Registry,
}

/// Whether the main loop of the process runs.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The last progress is not too long ago.
    pub alive: bool,
    /// How long ago the main loop made progress.
    pub last_progress_ms: u64,
}

/// Whether the process can do its work.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Ready {
    /// The stores, and whether the process can use every store that it needs.
    #[serde(flatten)]
    pub readiness: Readiness,
    /// What the process itself lacks, such as file descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("stores", &self.stores).finish_non_exhaustive()
    }
}

impl Vitals {
    /// `idle_for`: how long ago the main loop made progress. A process without progress for more than `patience` counts
    /// as hanging.
    #[must_use]
    pub fn new(stores: Stores, patience: Duration, idle_for: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let mut metrics = Registry::default();
        metrics.register_collector(Box::new(stores.clone()));
        metrics.register_collector(Box::new(Process));
        metrics.register_collector(Box::new(SpanCounts));
        Self {
            idle_for: Box::new(idle_for),
            lack: Box::new(|| None),
            patience,
            stores,
            queues: None,
            demands: None,
            metrics,
        }
    }

    /// Adds counters to the metrics.
    #[must_use]
    pub fn with_metrics(mut self, collector: impl Collector) -> Self {
        self.metrics.register_collector(Box::new(collector));
        self
    }

    /// Adds gauges of the queues.
    #[must_use]
    pub fn with_queues(mut self, queues: Queues) -> Self {
        self.metrics.register_collector(Box::new(queues.clone()));
        self.queues = Some(queues);
        self
    }

    /// Adds the demand of the queues.
    #[must_use]
    pub fn with_demands(mut self, demands: Demands) -> Self {
        self.metrics.register_collector(Box::new(demands.clone()));
        self.demands = Some(demands);
        self
    }

    /// Adds a function that says what the process itself lacks. While the process lacks something, it is not ready.
    #[must_use]
    pub fn with_lack(mut self, lack: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.lack = Box::new(lack);
        self
    }

    /// Whether the main loop runs. Asks no store.
    #[must_use]
    pub fn health(&self) -> Health {
        let idle_for = (self.idle_for)();
        let last_progress_ms = u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX);
        Health { alive: idle_for <= self.patience, last_progress_ms }
    }

    /// Whether the process can do its work now.
    pub async fn readiness(&self) -> Ready {
        let (mut readiness, lacks) = (self.stores.look().await, (self.lack)());
        readiness.ready &= lacks.is_none();
        Ready { readiness, lacks }
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// A collector cannot write its metrics.
    pub async fn metrics(&self) -> Result<String, fmt::Error> {
        let queues = async {
            if let Some(queues) = &self.queues {
                queues.look().await;
            }
        };
        let demands = async {
            if let Some(demands) = &self.demands {
                demands.look().await;
            }
        };
        // At the same time, so that the answer comes before the timeout of a scrape, also if no store answers. After this the gauge
        // `leasehold_store_up` shows the present state.
        tokio::join!(self.stores.look(), queues, demands);
        let mut text = String::new();
        encode(&mut text, &self.metrics)?;
        Ok(text)
    }
}
