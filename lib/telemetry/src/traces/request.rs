//! The span of an HTTP request: `{method} {route}`, a child of the span of the caller.

use super::context::{TARGET, is_on, remote};
use opentelemetry::{
    Context,
    trace::{Status, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The methods that are named. A client can invent others.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The maximum length of a shown path, in bytes. A client can send longer ones, and spans wait in memory.
const PATH_MAX_BYTES: usize = 256;

fn clipped(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_MAX_BYTES)]
}

/// The span of one HTTP request.
#[derive(Debug)]
pub struct RequestSpan {
    span: Span,
    context: Context,
}

impl RequestSpan {
    /// Begins the span of a request. `route` is the path of the description, such as `/v1/jobs/{id}`, and `path` the path of the request
    /// without its query. `None`: traces are off.
    #[must_use]
    pub fn begin(method: &str, route: Option<&str>, path: &str, traceparent: Option<&str>) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let is_known = METHODS.contains(&method);
        let shown = if is_known { method } else { "HTTP" };
        let name = route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {route}"));
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = name.as_str(),
            otel.kind = "server",
            "http.request.method" = if is_known { method } else { "_OTHER" },
            "url.path" = clipped(path),
        );
        if let Some(route) = route {
            span.set_attribute("http.route", route.to_owned());
        }
        if let Some(caller) = traceparent.and_then(remote) {
            // An error means that no layer takes the span: in this case there is no parent to set.
            let _ = span.set_parent(Context::new().with_remote_span_context(caller));
        }
        let context = span.context();
        Some(Self { span, context })
    }

    /// The span to answer the request in.
    #[must_use]
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the span with the status of the answer.
    pub fn end(self, status: u16) {
        self.span.set_attribute("http.response.status_code", i64::from(status));
        if status >= 500 {
            self.span.set_attribute("error.type", status.to_string());
            self.span.set_status(Status::error(""));
        }
        self.context.span().end();
    }
}
