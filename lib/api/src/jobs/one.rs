//! The actions on one job: show it, wait for its end, cancel it, put it back, change its priority, explain it.

use super::words::JobView;
use crate::{
    answer::{json, ok},
    api::Api,
    auth::Caller,
    errors::{Code, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Query, Segment},
};
use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use leasehold_client::Error;
use leasehold_core::{Access, JobId, JobRecord, State as JobState};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

const WAIT_MAX_MS: u64 = 50_000;
const WAIT_DEFAULT_MS: u64 = 20_000;

/// A change of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    id: Uuid,
    /// The state of the job now. `running` after a cancel: the worker is told to stop.
    state: String,
    /// Whether this request has changed the job.
    changed: bool,
}

/// A new priority.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct Priority {
    #[schema(minimum = -100, maximum = 100)]
    priority: i16,
}

fn no_such_job(id: JobId) -> Problem {
    Problem::new(Code::NotFound, format!("no job has the id {id}"))
}

/// The job, if the caller may read it.
async fn readable(api: &Api, caller: &Caller, id: JobId) -> Result<JobRecord> {
    let job = api.client().job(id).await?.ok_or_else(|| no_such_job(id))?;
    caller.needs(Access::Read, &job.queue)?;
    Ok(job)
}

/// Refuses a caller who may not change the job. The job is read only if the token of the caller is limited to some queues.
async fn needs_to_change(api: &Api, caller: &Caller, id: JobId) -> Result<()> {
    if !caller.is_limited(Access::Enqueue) {
        return Ok(());
    }
    let job = api.client().job(id).await?.ok_or_else(|| no_such_job(id))?;
    caller.needs(Access::Enqueue, &job.queue)
}

fn changed(id: JobId, state: JobState, changed: bool) -> Response {
    ok(&Changed { id: id.0, state: state.to_string(), changed })
}

/// The error for a job whose state forbids the change.
async fn forbidden(api: &Api, id: JobId, what: &str) -> Result<Problem> {
    let Some(job) = api.client().job(id).await? else { return Ok(no_such_job(id)) };
    Ok(Problem::new(Code::Conflict, format!("the job is {}, so it cannot be {what}", job.state)))
}

/// Show a job, live or finished
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "show_job", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, Segment(id): Segment<JobId>) -> Result<Response> {
    Ok(ok(&readable(&api, &caller, id).await?))
}

/// Wait until a job has ended
#[utoipa::path(get, path = "/v1/jobs/{id}/wait", tag = "jobs", operation_id = "wait_for_job",
    params(("id" = Uuid, Path),
           ("timeout_ms" = Option<u64>, Query, maximum = 50_000, description = "How long to wait; 20,000 by default")),
    responses(
        (status = 200, description = "The job has ended", body = JobView),
        (status = 202, description = "The job has not ended yet", body = JobView),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn wait(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    mut query: Query,
) -> Result<Response> {
    let timeout = Duration::from_millis(query.number("timeout_ms", WAIT_DEFAULT_MS, 0, WAIT_MAX_MS));
    query.finish()?;
    let job = readable(&api, &caller, id).await?;
    if job.state.is_final() {
        return Ok(ok(&job));
    }
    let waited = tokio::select! {
        biased;
        waited = api.client().wait_finished(id, timeout) => waited,
        () = api.stopping() => Err(Error::TimedOut(id)),
    };
    let status = match waited {
        Ok(_) => StatusCode::OK,
        Err(Error::TimedOut(_)) => StatusCode::ACCEPTED,
        Err(error) => return Err(error.into()),
    };
    let job = api.client().job(id).await?.ok_or_else(|| no_such_job(id))?;
    Ok(json(status, &job))
}

/// Cancel a job
///
/// A waiting job is cancelled immediately. The worker of a running job is told to stop, and the answer has the state `running`.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The job is cancelled, or its worker is told to stop", body = Changed),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = 409, description = "The job has succeeded or is dead", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    needs_to_change(&api, &caller, id).await?;
    let answer = api.client().cancel(&[id]).await?.pop().ok_or_else(|| no_such_job(id))?;
    match answer.state {
        JobState::Running | JobState::Cancelled => Ok(changed(id, answer.state, answer.changed)),
        _ => Err(forbidden(&api, id, "cancelled").await?),
    }
}

/// Put a finished job back into the line, or let a scheduled job start now
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The job is in the line", body = Changed),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = 409, description = "The job waits already, or it runs", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn retry(
    State(api): State<Api>,
    Segment(id): Segment<JobId>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    if api.client().revive(&[id]).await?.is_empty() {
        return Err(forbidden(&api, id, "put back into the line").await?);
    }
    Ok(changed(id, JobState::Queued, true))
}

/// Change the priority of a job that waits
#[utoipa::path(post, path = "/v1/jobs/{id}/priority", tag = "jobs", operation_id = "set_priority", params(("id" = Uuid, Path)),
    request_body = Priority,
    responses(
        (status = 200, description = "The job has this priority", body = Changed),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = 409, description = "The job runs or has ended", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn priority(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(mut fields): Body,
) -> Result<Response> {
    let priority: Option<i16> = fields.required("priority", "a whole number from -100 to 100");
    fields.finish()?;
    needs_to_change(&api, &caller, id).await?;
    let placed = api.client().set_priority(&[id], priority.unwrap_or_default()).await?;
    let placed = placed.into_iter().next().ok_or_else(|| no_such_job(id))?;
    match placed.state {
        JobState::Running | JobState::Succeeded | JobState::Dead | JobState::Cancelled => {
            Err(forbidden(&api, id, "moved in the line").await?)
        }
        state => Ok(changed(id, state, placed.changed)),
    }
}

/// One reason, with facts that depend on its code.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct ReasonView {
    /// The name of the reason, such as `paused` or `limited`.
    code: String,
    /// The reason as a sentence.
    text: String,
}

/// Why a job is where it is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct ExplanationView {
    id: Uuid,
    state: String,
    /// The time of the database at which this was so.
    as_of: DateTime<Utc>,
    /// The most telling reason first.
    reasons: Vec<ReasonView>,
    /// What Redis has of a job in the line: `absent`, `waiting` or `leased`. Other jobs, and answers without Redis, leave it out.
    #[schema(nullable = false)]
    hint: Option<String>,
}

/// Explain why a job is in its state, and what it waits for
#[utoipa::path(get, path = "/v1/jobs/{id}/explain", tag = "jobs", operation_id = "explain_job", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The explanation", body = ExplanationView),
        (status = 404, description = "There is no such job", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn explain(State(api): State<Api>, caller: Caller, Segment(id): Segment<JobId>) -> Result<Response> {
    if caller.is_limited(Access::Read) {
        readable(&api, &caller, id).await?;
    }
    let explained = api.client().explain(id).await?.ok_or_else(|| no_such_job(id))?;
    Ok(ok(&explained))
}
