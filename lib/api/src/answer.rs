//! Makes answers.

use crate::errors::{Code, ErrorBody, Problem};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
};
use serde::Serialize;
use sha2::{Digest, Sha256};

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

/// An answer with status 200 and an `ETag`; or 304 without a body, if the client already has this answer.
pub(crate) fn ok_unless_known(headers: &HeaderMap, body: &impl Serialize) -> Response<Body> {
    let text = match serde_json::to_vec(body) {
        Ok(text) => text,
        // The log gets the reason.
        Err(_) => return ok(body),
    };
    let digest: String = Sha256::digest(&text)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digest}\"");
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let is_known = given
        .flat_map(|tags| tags.split(','))
        .map(|given| given.trim().trim_start_matches("W/"))
        .any(|given| given == tag || given == "*");
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(text) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    // The answer is only valid at this moment: a cache must ask each time.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer with status 200.
pub(crate) fn ok(body: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, body)
}
