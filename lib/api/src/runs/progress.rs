//! The progress that a run of an HTTP worker reports while it runs.

use super::{
    ends::{fence_of, worker_of},
    settle::lease_lost,
};
use crate::{
    answer::ok,
    api::Api,
    auth::{Caller, denied_runs},
    errors::{DetailCode, ErrorBody, Result},
    extract::{Body, Segment},
};
use axum::{extract::State, response::Response};
use leasehold_core::{JobId, Told};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// The fence of a run, and what the run tells. One of `progress` and `note` must be given.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct ProgressRequest {
    worker: Uuid,
    epoch: i32,
    /// How much is done: a number from 0 to 1.
    progress: Option<f64>,
    /// A short note. Its first 500 bytes are kept, and the latest 16 notes of a run.
    note: Option<String>,
}

/// The worker still holds the job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressAnswer {
    /// `false`: an open transaction of another session holds the job, so nothing was written. The run goes on.
    written: bool,
    /// Somebody has cancelled the job: stop the work, and release the run. The job is cancelled then.
    cancel_wanted: bool,
}

/// Tell how far a run is
///
/// Anybody who shows the job sees it, also after its end. The lease is not renewed. Twice a second is often enough.
#[utoipa::path(post, path = "/v1/jobs/{id}/progress", tag = "workers", operation_id = "progress", params(("id" = Uuid, Path)),
    request_body = ProgressRequest,
    responses(
        (status = 200, description = "The worker still holds the job", body = ProgressAnswer),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn progress(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(mut fields): Body,
) -> Result<Response> {
    let worker = worker_of(&mut fields);
    let fence = fence_of(&mut fields, Some(id), worker);
    let (done, note): (Option<f64>, Option<String>) =
        (fields.value("progress", "a number from 0 to 1"), fields.value("note", "a string"));
    if done.is_none() && note.is_none() && fields.is_good() {
        fields.refuse("progress", DetailCode::Required, "is required, or note");
    }
    // The rules for all runs: which reports are kept, and how many.
    let mut told = Told::default();
    if done.is_some_and(|done| told.progress(done).is_err()) {
        fields.refuse("progress", DetailCode::Invalid, "must be a number from 0 to 1");
    }
    fields.finish()?;
    if let Some(denied) = denied_runs(&api, &caller, &[fence]).await?.remove(&id) {
        return Err(denied);
    }
    if let Some(note) = note {
        told.note((), &note);
    }
    let report = told.report(fence, |()| Duration::ZERO);
    let answer = api.store().report_of_http(&report).await?.ok_or_else(lease_lost)?;
    Ok(ok(&ProgressAnswer { written: answer.written, cancel_wanted: answer.cancel_wanted }))
}
