//! The three paths that every process serves. The bodies are made in `lib/telemetry`.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use leasehold_telemetry::{OPEN_METRICS, Vitals};
use std::sync::Arc;

pub(crate) fn router(vitals: Vitals) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(vitals))
}

const fn status(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn healthz(State(vitals): State<Arc<Vitals>>) -> Response {
    let health = vitals.health();
    (status(health.alive), Json(health)).into_response()
}

async fn readyz(State(vitals): State<Arc<Vitals>>) -> Response {
    let ready = vitals.readiness().await;
    (status(ready.readiness.ready), Json(ready)).into_response()
}

async fn metrics(State(vitals): State<Arc<Vitals>>) -> Response {
    match vitals.metrics().await {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
