//! Makes answers.

use crate::errors::{Code, ErrorBody, Problem};
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
};
use serde::Serialize;

/// An answer with a body of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let (status, text) = match serde_json::to_vec(body) {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            let problem = Problem::new(Code::Internal, "the answer cannot be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, serde_json::to_vec(&ErrorBody { error: problem }).unwrap_or_default())
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer with status 200.
pub(crate) fn ok(body: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, body)
}
