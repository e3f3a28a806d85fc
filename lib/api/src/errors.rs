//! The one form of an error, and the closed list of its codes.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use leasehold_client::{Error as ClientError, StoreError};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// What kind of error it is. This list is closed: a client may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// The body is no JSON, or the request cannot be read.
    Malformed,
    /// A token is needed, and the request has none that is valid.
    Unauthorized,
    /// The token lacks a scope. Or, on a server without tokens: the request is of a web page of another site, or its `Host` is not
    /// a loopback name or address.
    Forbidden,
    /// The path names nothing.
    NotFound,
    /// The path has no such method; the header `Allow` lists its methods.
    MethodNotAllowed,
    /// The client took too long to send the request.
    RequestTimeout,
    /// The state of the job does not allow the change.
    Conflict,
    /// The lease of the run is lost. Another worker decides about the job: drop the run.
    LeaseLost,
    /// The worker is drained: it ends its runs and gets no more jobs.
    Draining,
    /// The body is too large.
    TooLarge,
    /// The body must be `application/json`.
    UnsupportedMediaType,
    /// A field is not valid. `details` names each such field.
    Invalid,
    /// The same `Idempotency-Key` was sent with another body.
    IdempotencyMismatch,
    /// Too many requests wait. `Retry-After` says when to try again.
    TooManyRequests,
    /// An open transaction of another session holds the row. Nothing was changed: try again.
    Locked,
    /// PostgreSQL is unavailable, or the server stops. Nothing is known to have changed: try again.
    Unavailable,
    /// The connection to PostgreSQL was lost, and it is not known whether the jobs were accepted. A request with the same ids, or
    /// with the same `Idempotency-Key`, is safe.
    OutcomeUnknown,
    /// A fault of the server.
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict | Self::LeaseLost | Self::Draining => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid | Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Locked | Self::Unavailable | Self::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code for an answer that the framework made.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            _ if status.is_client_error() => Self::Malformed,
            _ => Self::Internal,
        }
    }

    /// The seconds after which the same request may succeed.
    fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::Locked | Self::Unavailable | Self::OutcomeUnknown => Some(1),
            // With jitter, so that refused clients do not all return at the same moment.
            Self::TooManyRequests => Some(rand::random_range(1..=5)),
            _ => None,
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DetailCode {
    /// The value is not valid.
    Invalid,
    /// The field is missing.
    Required,
    /// There is no such field.
    Unknown,
    /// The job or the run of this element was refused, or the token.
    Refused,
}

/// One field, and what is wrong with the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Detail {
    /// A JSON pointer into the body; or `/path/…`, `/query/…` or `/headers/…` for a part of the request that is not the body.
    pub(crate) pointer: String,
    pub(crate) code: DetailCode,
    pub(crate) message: String,
}

impl Detail {
    pub(crate) fn new(pointer: impl Into<String>, code: DetailCode, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

/// An error, as clients get it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// For people.
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) details: Vec<Detail>,
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub(crate) error: Problem,
}

/// An answer of the form [`ErrorBody`]. Other answers with a status of an error are replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HasErrorBody;

pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Fields that are not valid.
    pub(crate) fn invalid(details: Vec<Detail>) -> Self {
        let message = match details.as_slice() {
            [detail] if detail.pointer.is_empty() => detail.message.clone(),
            [detail] => format!("{}: {}", detail.pointer, detail.message),
            details => format!("{} fields are not valid", details.len()),
        };
        Self { code: Code::Invalid, message, details }
    }

    /// The same problem of an element of a larger body. What is wrong with a header is wrong with the whole request.
    pub(crate) fn below(mut self, element: &str) -> Self {
        for detail in self.details.iter_mut().filter(|detail| !detail.pointer.starts_with("/headers/")) {
            detail.pointer.insert_str(0, element);
        }
        if self.code == Code::Invalid && !self.details.is_empty() {
            self = Self::invalid(self.details);
        }
        self
    }

    /// The same problem, with a pointer: the message of PostgreSQL or of the client names one of these fields of the request.
    pub(crate) fn at_words(mut self, words: &[&str]) -> Self {
        for detail in self.details.iter_mut().filter(|detail| detail.pointer.is_empty()) {
            detail.pointer = pointer_in(&detail.message, words).unwrap_or_default();
        }
        if self.code == Code::Invalid && !self.details.is_empty() {
            self = Self::invalid(self.details);
        }
        self
    }

    pub(crate) fn no_such(what: &str, name: &dyn fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {name}"))
    }

    /// The error for an answer of the framework.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("error").to_lowercase();
        Self::new(Code::of_status(status), reason)
    }

    pub(crate) fn of_store(error: &leasehold_store::Error) -> Self {
        if let Some(said) = error.refused_value() {
            return Self::refused(said);
        }
        match error {
            leasehold_store::Error::Invalid(invalid) => Self::of_invalid_job("", invalid),
            leasehold_store::Error::Locked(locked) => Self::new(Code::Locked, locked.to_string()),
            error if error.may_be_locked() => Self::locked(error),
            error if error.is_transient() => Self::unavailable(error),
            error => Self::internal(error),
        }
    }

    pub(crate) fn of_invalid_job(prefix: &str, invalid: &leasehold_core::InvalidJob) -> Self {
        let detail = |bad: &leasehold_core::FieldError| {
            let pointer = format!("{prefix}/{}", bad.field.replace('.', "/"));
            Detail::new(pointer, DetailCode::Invalid, bad.problem.clone())
        };
        Self::invalid(invalid.0.iter().map(detail).collect())
    }

    fn unavailable(error: &dyn fmt::Display) -> Self {
        tracing::debug!(%error, "a request failed because a store is unavailable");
        Self::new(Code::Unavailable, "PostgreSQL is unavailable; try again")
    }

    /// The log gets the error. The client does not: the text may name tables and servers.
    pub(crate) fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(Code::Internal, "the server could not do this; its log has the reason under the id of this request")
    }

    fn refused(said: String) -> Self {
        Self::invalid(vec![Detail::new("", DetailCode::Invalid, said)])
    }

    /// The text names the session, if PostgreSQL says which one it is.
    fn locked(error: &dyn fmt::Display) -> Self {
        let message =
            format!("an open transaction of another session is in the way; nothing was changed: try again ({error})");
        Self::new(Code::Locked, message)
    }

    fn of_store_error(error: &StoreError) -> Self {
        if let Some(said) = error.refused_value() {
            return Self::refused(said);
        }
        if error.may_be_locked() {
            return Self::locked(error);
        }
        if error.is_transient() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// The pointer of the first of these fields that a message names: for `unique.fields needs …` it is `/unique/fields`.
pub(crate) fn pointer_in(message: &str, words: &[&str]) -> Option<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter == '.';
    let mut tokens = message.split(|letter: char| !is_part(letter)).map(|token| token.trim_matches('.'));
    let found = tokens.find(|token| words.contains(&token.split('.').next().unwrap_or_default()))?;
    Some(format!("/{}", found.replace('.', "/")))
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Invalid(invalid) => Self::of_invalid_job("", &invalid),
            ClientError::InvalidOf { nth, source, .. } => Self::of_invalid_job(&format!("/jobs/{nth}"), &source),
            ClientError::Graph(_) | ClientError::Timing(_) | ClientError::Bulk(_) | ClientError::Name { .. } => {
                Self::invalid(vec![Detail::new("", DetailCode::Invalid, text)])
            }
            ClientError::NoSuchJob(_) => Self::new(Code::NotFound, text),
            ClientError::Locked(_) => Self::new(Code::Locked, text),
            ClientError::OutcomeUnknown { .. } => Self::new(Code::OutcomeUnknown, text),
            ClientError::Store(error) => Self::of_store_error(&error),
            _ => Self::internal(&text),
        }
    }
}

impl From<leasehold_store::Error> for Problem {
    fn from(error: leasehold_store::Error) -> Self {
        Self::of_store(&error)
    }
}

impl From<leasehold_ports::Error> for Problem {
    fn from(error: leasehold_ports::Error) -> Self {
        Self::from(ClientError::from(error))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let (code, status, retry_after) = (self.code, self.code.status(), self.code.retry_after_s());
        let mut response = crate::answer::json(status, &ErrorBody { error: self });
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == Code::Unauthorized {
            let what = HeaderValue::from_static("Bearer realm=\"leasehold\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, what);
        }
        response.extensions_mut().insert(HasErrorBody);
        response
    }
}
