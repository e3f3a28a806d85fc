//! Extractors: the values that a handler gets from a request. Their errors have the common form of all errors; the errors of the
//! framework would be plain text.

use crate::{
    api::Api,
    errors::{Code, Detail, DetailCode, Problem, Result},
    fields::Fields,
    limits::{BODY_MAX_BYTES, BODY_WITHIN, DISCARDED_MAX_BYTES},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use futures_util::StreamExt;
use std::{collections::BTreeMap, str::FromStr};
use tokio::time::timeout;

/// The body of a request: UTF-8, with the content type of JSON.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) String);

/// The body of a request as an object.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) Fields);

/// The body of a request that may have none, or `null`.
#[derive(Debug)]
pub(crate) struct OptionalBody(pub(crate) Fields);

/// The one variable part of a path.
#[derive(Debug)]
pub(crate) struct Segment<T>(pub(crate) T);

/// The parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Query {
    left: BTreeMap<String, String>,
    bad: Vec<Detail>,
}

impl FromRequest<Api> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "the body must be JSON: send it with the header content-type: application/json",
            ));
        }
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = length.unwrap_or(BODY_MAX_BYTES);
        if length > BODY_MAX_BYTES {
            if length <= DISCARDED_MAX_BYTES {
                discard(body).await;
            }
            return Err(too_large());
        }
        let slow =
            |_| Problem::new(Code::RequestTimeout, format!("the body did not come within {} s", BODY_WITHIN.as_secs()));
        let room = timeout(BODY_WITHIN, api.body_room(length))
            .await
            .map_err(|_| Problem::new(Code::Unavailable, "the server reads as many bodies as it can; try again"))?;
        let bytes = timeout(BODY_WITHIN, read(body, length)).await.map_err(slow)??;
        drop(room);
        let text = String::from_utf8(bytes)
            .map_err(|error| Problem::new(Code::Malformed, format!("the body is not UTF-8: {error}")))?;
        Ok(Self(text))
    }
}

impl FromRequest<Api> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        let JsonText(text) = JsonText::from_request(request, api).await?;
        Fields::of_body(&text).map(Self)
    }
}

impl FromRequest<Api> for OptionalBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        let headers = request.headers();
        let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        if is_empty && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(Self(Fields::default()));
        }
        let JsonText(text) = JsonText::from_request(request, api).await?;
        if text.trim() == "null" { Ok(Self(Fields::default())) } else { Fields::of_body(&text).map(Self) }
    }
}

/// Reads a body up to the bound. `length`: the length of the body, if it is known.
async fn read(body: axum::body::Body, length: usize) -> Result<Vec<u8>> {
    const FIRST_BYTES: usize = 64 * 1024;
    let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES));
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let cut = |error| Problem::new(Code::Malformed, format!("the body ended before its end: {error}"));
        let part = part.map_err(cut)?;
        if bytes.len() + part.len() > BODY_MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Reads a body that is too large, and discards it: most clients read no answer before they have sent everything. If a body
/// turns out to be much too large or slow, the connection is cut. If its header announces this, it is not read at all.
async fn discard(body: axum::body::Body) {
    let mut stream = body.into_data_stream();
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(part)) = stream.next().await {
            bytes += part.len();
            if bytes > DISCARDED_MAX_BYTES {
                return;
            }
        }
    };
    // The answer is the same if the timeout passes.
    let _ = timeout(BODY_WITHIN, read).await;
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("the body is longer than {BODY_MAX_BYTES} bytes"))
}

impl<T> FromRequestParts<Api> for Segment<T>
where
    T: FromStr + Send,
    T::Err: ToString,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let refused = |message: String| Problem::invalid(vec![Detail::new("/path", DetailCode::Invalid, message)]);
        let Path(text) =
            Path::<String>::from_request_parts(parts, api).await.map_err(|error| refused(error.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| refused(format!("{text:?}: {}", error.to_string())))
    }
}

impl FromRequestParts<Api> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if query.left.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                query.refuse(&name, DetailCode::Invalid, "is given twice");
            }
        }
        Ok(query)
    }
}

impl Query {
    /// These parameters as one text, for a cursor.
    pub(crate) fn bound_to(&self, names: &[&str]) -> String {
        let given = names.iter().map(|name| format!("{name}={:?}&", self.left.get(*name)));
        given.collect()
    }

    /// A parameter that is bad.
    pub(crate) fn refuse(&mut self, name: &str, code: DetailCode, message: impl Into<String>) {
        self.bad.push(Detail::new(format!("/query/{name}"), code, message));
    }

    /// A parameter in the form of a type.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, wanted: &str) -> Option<T>
    where
        T::Err: ToString,
    {
        let text = self.left.remove(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, DetailCode::Invalid, format!("must be {wanted}: {}", error.to_string()));
                None
            }
        }
    }

    /// A number within bounds, or the default.
    pub(crate) fn number(&mut self, name: &str, default: u64, least: u64, most: u64) -> u64 {
        let wanted = format!("a whole number from {least} to {most}");
        match self.parsed::<u64>(name, &wanted) {
            Some(number) if (least..=most).contains(&number) => number,
            Some(number) => {
                self.refuse(name, DetailCode::Invalid, format!("is {number}; it must be {wanted}"));
                default
            }
            None => default,
        }
    }

    /// Succeeds if every parameter is good and known.
    pub(crate) fn finish(mut self) -> Result<()> {
        for name in std::mem::take(&mut self.left).into_keys() {
            self.refuse(&name, DetailCode::Unknown, "there is no such parameter");
        }
        if self.bad.is_empty() { Ok(()) } else { Err(Problem::invalid(self.bad)) }
    }
}
