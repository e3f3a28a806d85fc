//! The three paths.
//!
//! - `/healthz`: the loops of the process go on. Asks no store: a process whose stores are away must not be killed for it.
//! - `/readyz`: it can do its work now. 200 or 503, and either way what it knows of its stores.
//! - `/metrics`: its counters, in the text format of OpenMetrics, which Prometheus reads.

use crate::{
    reaper_metrics::ReaperMetrics,
    stores::{Readiness, Stores},
    worker_metrics::WorkerMetrics,
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long the heartbeat of a worker may need for itself: sixty times what it needs when all is well.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(60);

/// What a process says of itself.
pub struct Vitals {
    idle_for: Box<dyn Fn() -> Duration + Send + Sync>,
    /// What the process itself lacks to do its work.
    lack: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Without progress for longer than this, it hangs.
    patience: Duration,
    stores: Stores,
    metrics: Registry,
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// What `/readyz` says.
#[derive(Serialize)]
struct Ready {
    #[serde(flatten)]
    readiness: Readiness,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
}

#[derive(Serialize)]
struct Health {
    alive: bool,
    /// How long ago its loop came round last.
    last_progress_ms: u64,
}

impl Vitals {
    /// Of a worker.
    #[must_use]
    pub fn of_worker(watch: leasehold_worker::Watch, stores: Stores) -> Self {
        let patience = HEARTBEAT_PATIENCE + stores.answers_within() * 2;
        let metrics = with(&stores, WorkerMetrics(watch.clone()));
        let watched = watch.clone();
        Self {
            idle_for: Box::new(move || watch.since_progress()),
            lack: Box::new(move || watched.lack()),
            patience,
            stores,
            metrics,
        }
    }

    /// Of a reaper.
    #[must_use]
    pub fn of_reaper(watch: leasehold_reaper::Watch, stores: Stores) -> Self {
        let patience = watch.patience();
        let metrics = with(&stores, ReaperMetrics(watch.clone()));
        Self { idle_for: Box::new(move || watch.since_progress()), lack: Box::new(|| None), patience, stores, metrics }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }
}

fn with(stores: &Stores, collector: impl prometheus_client::collector::Collector) -> Registry {
    let mut metrics = Registry::default();
    metrics.register_collector(Box::new(stores.clone()));
    metrics.register_collector(Box::new(collector));
    metrics
}

const fn status(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn healthz(State(vitals): State<Arc<Vitals>>) -> Response {
    let idle_for = (vitals.idle_for)();
    let alive = idle_for <= vitals.patience;
    let last_progress_ms = u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX);
    (status(alive), Json(Health { alive, last_progress_ms })).into_response()
}

async fn readyz(State(vitals): State<Arc<Vitals>>) -> Response {
    let (mut readiness, lacks) = (vitals.stores.look().await, (vitals.lack)());
    readiness.ready &= lacks.is_none();
    (status(readiness.ready), Json(Ready { readiness, lacks })).into_response()
}

async fn metrics(State(vitals): State<Arc<Vitals>>) -> Response {
    // So that `leasehold_store_up` is of now.
    vitals.stores.look().await;
    let mut text = String::new();
    match encode(&mut text, &vitals.metrics) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
