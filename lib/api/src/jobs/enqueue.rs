//! `POST /v1/jobs`.

use super::words::{NewJobWords, read_job};
use crate::{
    answer::json,
    api::Api,
    errors::{Code, Detail, DetailCode, ErrorBody, Problem, Result},
    extract::JsonText,
    fields::Fields,
    limits::JOBS_MAX,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use leasehold_client::{Enqueued, Once, OnceKey};
use leasehold_core::NewJob;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_MAX_BYTES: usize = 255;

/// One job, or several.
#[derive(Debug, ToSchema)]
#[schema(as = EnqueueRequest)]
#[serde(untagged)]
#[expect(dead_code, reason = "this enum describes the body; the fields are read one by one")]
#[derive(Serialize)]
pub(crate) enum EnqueueRequest {
    One(Box<NewJobWords>),
    Many(NewJobs),
}

/// Several jobs: all of them are enqueued, or none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewJobs {
    #[schema(max_items = 1000, min_items = 1)]
    jobs: Vec<NewJobWords>,
}

/// The answer to one job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnqueuedJob {
    /// The id of the job, or of the job that has its id or its unique key already.
    id: Uuid,
    /// Whether this request has made the job.
    inserted: bool,
    state: String,
    /// Whether a job that waits has the fields of this job now.
    replaced: bool,
}

/// The answers to several jobs, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnqueuedJobs {
    jobs: Vec<EnqueuedJob>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EnqueueAnswer {
    One(EnqueuedJob),
    Many(EnqueuedJobs),
}

impl From<Enqueued> for EnqueuedJob {
    fn from(answer: Enqueued) -> Self {
        let Enqueued { id, inserted, state, replaced, .. } = answer;
        Self { id: id.0, inserted, state: state.to_string(), replaced }
    }
}

/// Enqueue a job, or up to 1,000 jobs in one transaction
///
/// A job is accepted when the answer comes. The same `Idempotency-Key` and body again give the same answer for 24 hours.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", operation_id = "enqueue", request_body = EnqueueRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters, made by the client")),
    responses(
        (status = 201, description = "At least one job was made", body = EnqueueAnswer),
        (status = 200, description = "All jobs existed", body = EnqueueAnswer),
        (status = 422, description = "A field is not valid, or the key was sent with another body", body = ErrorBody),
        (status = 503, description = "PostgreSQL is unavailable, or another transaction holds an id or a unique key", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn enqueue(State(api): State<Api>, headers: HeaderMap, JsonText(text): JsonText) -> Result<Response> {
    let key = key_of(&headers, &text)?;
    let (jobs, is_one) = read(&text, &api)?;
    let answers = match (&key, jobs.as_slice()) {
        // One statement, and no transaction around it.
        (None, [_]) => api.client().enqueue_many(&jobs).await?,
        _ => {
            let _turn = match &key {
                // Requests with one key would wait for each other in PostgreSQL, each with a connection.
                Some(key) => Some(api.turn_of(&key.key).await),
                None => None,
            };
            match api.client().enqueue_once(&jobs, key.as_ref()).await? {
                Once::Done(answers) | Once::Already(answers) => answers,
                Once::OtherRequest => {
                    let message = "another request with this Idempotency-Key has another body";
                    return Err(Problem {
                        details: vec![Detail::new("/headers/idempotency-key", DetailCode::Refused, message)],
                        ..Problem::new(Code::IdempotencyMismatch, message)
                    });
                }
            }
        }
    };
    Ok(answered(answers, is_one))
}

fn answered(answers: Vec<Enqueued>, is_one: bool) -> Response {
    let is_new = answers.iter().any(|answer| answer.inserted || answer.replaced);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut jobs: Vec<EnqueuedJob> = answers.into_iter().map(Into::into).collect();
    if !is_one {
        return json(status, &EnqueueAnswer::Many(EnqueuedJobs { jobs }));
    }
    let Some(job) = jobs.pop() else { return json(status, &EnqueuedJobs { jobs }) };
    let location = HeaderValue::from_str(&format!("/v1/jobs/{}", job.id));
    let mut response = json(status, &EnqueueAnswer::One(job));
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The jobs of a body, and whether the body is one job.
fn read(text: &str, api: &Api) -> Result<(Vec<NewJob>, bool)> {
    let mut fields = Fields::of_body(text)?;
    let read = api.settings().read_job;
    let Some(jobs) = fields.array_if_any("jobs", JOBS_MAX) else {
        return read_job(read, "", text).map(|job| (vec![job], true)).map_err(Problem::invalid);
    };
    if jobs.is_empty() && fields.is_good() {
        fields.refuse("jobs", DetailCode::Invalid, format!("must have 1 to {JOBS_MAX} jobs"));
    }
    let mut all = Vec::with_capacity(jobs.len());
    for (nth, job) in jobs.iter().enumerate() {
        match read_job(read, &format!("/jobs/{nth}"), job.get()) {
            Ok(job) => all.push(job),
            Err(bad) => fields.add(bad),
        }
    }
    fields.finish()?;
    Ok((all, false))
}

/// The key, with the SHA-256 of the body.
fn key_of(headers: &HeaderMap, text: &str) -> Result<Option<OnceKey>> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let is_fine = (1..=KEY_MAX_BYTES).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(key) if is_fine && given.next().is_none() => {
            Ok(Some(OnceKey { key: key.to_owned(), fingerprint: Sha256::digest(text.as_bytes()).into() }))
        }
        _ => {
            let message = format!("must be given once, with 1 to {KEY_MAX_BYTES} visible characters");
            Err(Problem::invalid(vec![Detail::new("/headers/idempotency-key", DetailCode::Invalid, message)]))
        }
    }
}
