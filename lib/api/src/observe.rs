//! Around every request: its id, the access log, and the one form of errors.

use crate::{
    errors::{HasErrorBody, Problem},
    jobs::traceparent_of,
};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_telemetry::traces::{RequestSpan, is_on};
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The paths that probes and Prometheus request all the time.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// The longest id that a client may give a request, in bytes.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// Gives the request an id, writes the access log, and replaces answers of the framework that are errors.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let traced = begin_span(&request);
    let (begun, span) = (Instant::now(), tracing::info_span!("request", id = %id.to_str().unwrap_or_default()));
    let answered = async {
        let response = in_one_form(next.run(request).await);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The path and not the query: a query may hold data.
        tracing::debug!(%method, path, status = response.status().as_u16(), ms, "answered");
        response
    };
    let answered = answered.instrument(span);
    let mut response = match traced {
        None => answered.await,
        Some(traced) => {
            // In a box, because it would make every other request larger.
            let response = Box::pin(answered.instrument(traced.span().clone())).await;
            traced.end(response.status().as_u16());
            response
        }
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The span of a request. `None`: traces are off, or the request is only a health check. In a box, because it would make every
/// request larger.
fn begin_span(request: &Request) -> Option<Box<RequestSpan>> {
    if !is_on() {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if route.is_some_and(|route| UNTRACED.contains(&route)) {
        return None;
    }
    let traceparent = traceparent_of(request.headers());
    RequestSpan::begin(request.method().as_str(), route, request.uri().path(), traceparent.as_deref()).map(Box::new)
}

/// The id that the client gave the request, if it can be logged; else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_fine = |id: &&HeaderValue| {
        (1..=REQUEST_ID_MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).filter(is_fine).cloned();
    given.unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::now_v7().to_string()).unwrap_or_else(|_| HeaderValue::from_static("-"))
    })
}

/// An answer of the framework that is an error (404, 405, …) has a body in plain text, or none. It gets the form of our errors, and
/// keeps its header `Allow`.
fn in_one_form(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    if !is_error || response.extensions().get::<HasErrorBody>().is_some() || !kind.starts_with("text/plain") {
        return response;
    }
    let mut ours = Problem::of_status(status).into_response();
    *ours.status_mut() = status;
    if let Some(allow) = response.headers().get(header::ALLOW) {
        ours.headers_mut().insert(header::ALLOW, allow.clone());
    }
    ours
}
