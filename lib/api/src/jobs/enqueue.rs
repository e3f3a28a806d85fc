//! `POST /v1/jobs`.

use super::words::{NewJobWords, late, read_job};
use crate::{
    answer::json,
    api::Api,
    auth::Caller,
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
use leasehold_core::{NewJob, is_traceparent};
use leasehold_telemetry::traces;
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
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters, made by the client"),
           ("traceparent" = Option<String>, Header, description = "The trace of the jobs that name none, as W3C Trace Context 00. Their workers get it")),
    responses(
        (status = 201, description = "At least one job was made", body = EnqueueAnswer),
        (status = 200, description = "All jobs existed", body = EnqueueAnswer),
        (status = 422, description = "A field is not valid, or the key was sent with another body", body = ErrorBody),
        (status = 503, description = "PostgreSQL is unavailable, or another transaction holds an id or a unique key", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn enqueue(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Result<Response> {
    let key = idempotency_key(&headers, &text)?;
    let (mut jobs, is_one) = read(&text, &api)?;
    if let Some(traceparent) = traceparent(&headers) {
        jobs.iter_mut().for_each(|job| _ = job.traceparent.get_or_insert_with(|| traceparent.clone()));
    }
    caller.needs_enqueue(&jobs, |nth| if is_one { String::new() } else { format!("/jobs/{nth}") })?;
    let refused = |error| refused_late(Problem::from(error), &text);
    let answers = match (&key, jobs.as_slice()) {
        // One statement, and no transaction around it.
        (None, [_]) => api.client().enqueue_many(&jobs).await.map_err(refused)?,
        _ => {
            let _turn = match &key {
                // Requests with one key would wait for each other in PostgreSQL, each with a connection.
                Some(key) => Some(api.turn_of(&key.key).await),
                None => None,
            };
            match api.client().enqueue_once(&jobs, key.as_ref()).await.map_err(refused)? {
                Once::Done(answers) | Once::Already(answers) => answers,
                Once::OtherRequest => return Err(other_request()),
            }
        }
    };
    Ok(answered(answers, is_one))
}

/// The error for a job that only PostgreSQL could refuse: its parent does not exist, or its batch is sealed.
fn refused_late(problem: Problem, text: &str) -> Problem {
    let jobs = Fields::of_body(text).ok().and_then(|mut fields| fields.array_if_any("jobs", JOBS_MAX));
    let Some(jobs) = jobs else { return late(problem, &[(String::new(), text)]) };
    let jobs: Vec<(String, &str)> =
        jobs.iter().enumerate().map(|(nth, job)| (format!("/jobs/{nth}"), job.get())).collect();
    late(problem, &jobs)
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

/// The error for a key that another request has.
pub(crate) fn other_request() -> Problem {
    let message = "another request with this Idempotency-Key has another body";
    Problem {
        details: vec![Detail::new("/headers/idempotency-key", DetailCode::Refused, message)],
        ..Problem::new(Code::IdempotencyMismatch, message)
    }
}

/// The trace of the request, for its jobs. `None` if the span of the call that enqueues them is in this trace: then they store that span.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    if traces::is_sampled() { None } else { traceparent_of(headers) }
}

/// The trace of the request. As W3C Trace Context requires, a header that cannot be parsed is ignored.
pub(crate) fn traceparent_of(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all("traceparent").iter();
    let (text, None) = (given.next()?.to_str().ok()?, given.next()) else { return None };
    is_traceparent(text).then(|| text.to_owned())
}

/// The key, with the SHA-256 of the request.
pub(crate) fn idempotency_key(headers: &HeaderMap, text: &str) -> Result<Option<OnceKey>> {
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
