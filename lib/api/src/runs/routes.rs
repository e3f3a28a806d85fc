//! The requests that end runs.

use super::{
    ends::{CompleteRequest, FailRequest, ReleaseRequest, RequestedEnd, SnoozeRequest, Way, fence_of, worker_of},
    settle::{Written, settle},
};
use crate::{
    answer::ok,
    api::Api,
    auth::Caller,
    errors::{DetailCode, ErrorBody, Result},
    extract::{Body, Segment},
    fields::Fields,
    limits::JOBS_MAX,
};
use axum::{extract::State, response::Response};
use leasehold_core::JobId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What became of the job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Settled {
    /// `succeeded`, `dead`, `cancelled`, `scheduled` (the job runs again later) or `queued`.
    state: String,
    /// An earlier request has written the same end, and its answer was lost.
    already: bool,
}

impl From<Written> for Settled {
    fn from(written: Written) -> Self {
        Self { state: written.state.to_string(), already: written.already }
    }
}

/// The end of one run: `id`, `epoch`, `outcome`, and the fields of the request of the same name.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct RunEnd {
    id: Uuid,
    epoch: i32,
    /// `complete`, `fail`, `snooze` or `release`.
    outcome: String,
    result: Option<serde_json::Value>,
    enqueue: Option<Vec<serde_json::Value>>,
    error: Option<String>,
    never: Option<bool>,
    delay_ms: Option<u64>,
    reason: Option<String>,
}

/// The ends of runs of one worker.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct SettleAllRequest {
    worker: Uuid,
    #[schema(max_items = 1000)]
    runs: Vec<RunEnd>,
}

/// The answer for one run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettledRun {
    id: Uuid,
    epoch: i32,
    #[serde(flatten)]
    answer: SettledOrRefused,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SettledOrRefused {
    Settled(Settled),
    Refused(ErrorBody),
}

/// The answers, in the order of the runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettleAllAnswer {
    runs: Vec<SettledRun>,
}

async fn end(api: Api, caller: Caller, id: JobId, mut fields: Fields, way: Way) -> Result<Response> {
    let worker = worker_of(&mut fields);
    let fence = fence_of(&mut fields, Some(id), worker);
    let end = RequestedEnd::read(way, &mut fields, "", &api);
    fields.finish()?;
    let answers = settle(&api, &caller, worker, vec![(fence, end)]).await?;
    let mut answers = answers.into_iter();
    let written = answers.next().unwrap_or_else(|| Err(super::settle::lease_lost()))?;
    Ok(ok(&Settled::from(written)))
}

/// End a run: it has succeeded
///
/// The same request again answers `"already": true`.
#[utoipa::path(post, path = "/v1/jobs/{id}/complete", tag = "workers", operation_id = "complete", params(("id" = Uuid, Path)),
    request_body = CompleteRequest,
    responses(
        (status = 200, description = "The result is stored", body = Settled),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid or cannot be stored: the run has not ended", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn complete(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(fields): Body,
) -> Result<Response> {
    end(api, caller, id, fields, Way::Complete).await
}

/// End a run: it has failed
///
/// The job is tried again later, or it is dead if its attempts are spent.
#[utoipa::path(post, path = "/v1/jobs/{id}/fail", tag = "workers", operation_id = "fail", params(("id" = Uuid, Path)),
    request_body = FailRequest,
    responses(
        (status = 200, description = "The failure is stored", body = Settled),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn fail(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(fields): Body,
) -> Result<Response> {
    end(api, caller, id, fields, Way::Fail).await
}

/// End a run: the job runs again later, and the attempt is not spent
#[utoipa::path(post, path = "/v1/jobs/{id}/snooze", tag = "workers", operation_id = "snooze", params(("id" = Uuid, Path)),
    request_body = SnoozeRequest,
    responses(
        (status = 200, description = "The job is scheduled", body = Settled),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn snooze(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(fields): Body,
) -> Result<Response> {
    end(api, caller, id, fields, Way::Snooze).await
}

/// End a run: the job goes back into the line immediately, and the attempt does not count
#[utoipa::path(post, path = "/v1/jobs/{id}/release", tag = "workers", operation_id = "release", params(("id" = Uuid, Path)),
    request_body = ReleaseRequest,
    responses(
        (status = 200, description = "The job is in the line, or it is cancelled if somebody has asked for that", body = Settled),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn release(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(fields): Body,
) -> Result<Response> {
    end(api, caller, id, fields, Way::Release).await
}

/// End up to 1,000 runs of a worker
#[utoipa::path(post, path = "/v1/jobs/settle", tag = "workers", operation_id = "settle_all", request_body = SettleAllRequest,
    responses(
        (status = 200, description = "An answer for each run", body = SettleAllAnswer),
        (status = 422, description = "A field is not valid; no run was ended", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn settle_all(State(api): State<Api>, caller: Caller, Body(mut fields): Body) -> Result<Response> {
    let worker = worker_of(&mut fields);
    let mut runs = Vec::new();
    for (nth, run) in fields.required_array("runs", JOBS_MAX).iter().enumerate() {
        let pointer = format!("/runs/{nth}");
        let mut run = Fields::of_element(pointer.clone(), run);
        let fence = fence_of(&mut run, None, worker);
        let wanted = "complete, fail, snooze or release";
        let outcome: Option<String> = run.required("outcome", wanted);
        match outcome.map(|outcome| outcome.parse::<Way>()) {
            Some(Ok(way)) => runs.push((fence, RequestedEnd::read(way, &mut run, &pointer, &api))),
            Some(Err(error)) => run.refuse("outcome", DetailCode::Invalid, format!("must be {wanted}: {error}")),
            None => {}
        }
        fields.add(run.into_details());
    }
    fields.finish()?;
    let fences: Vec<_> = runs.iter().map(|(fence, _)| *fence).collect();
    let answers = settle(&api, &caller, worker, runs).await?;
    let runs = fences.into_iter().zip(answers).enumerate().map(|(nth, (fence, answer))| SettledRun {
        id: fence.id.0,
        epoch: fence.epoch,
        answer: match answer {
            Ok(written) => SettledOrRefused::Settled(written.into()),
            Err(error) => SettledOrRefused::Refused(ErrorBody { error: error.below(&format!("/runs/{nth}")) }),
        },
    });
    Ok(ok(&SettleAllAnswer { runs: runs.collect() }))
}
