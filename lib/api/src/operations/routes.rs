//! The paths of bulk changes and operations.

use super::words::{Asked, BulkCountView, BulkRequest, OperationView, asked};
use crate::{
    answer::{json, ok},
    api::Api,
    auth::Caller,
    errors::{Code, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Query, Segment},
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use leasehold_client::Operation;
use leasehold_core::{BulkAction, BulkFilter, JobId};
use serde::Serialize;
use serde_json::{Value, json as object};
use utoipa::ToSchema;
use uuid::Uuid;

/// The operations of one answer.
const SHOWN_DEFAULT: u64 = 50;
const SHOWN_MAX: u64 = 1_000;

/// The answer to a bulk change that only counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkCounts {
    dry_run: bool,
    /// All jobs together.
    total: u64,
    counts: Vec<BulkCountView>,
}

/// The newest operations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationList {
    #[schema(value_type = Vec<OperationView>)]
    operations: Vec<Operation>,
}

/// The text in the audit for a change of many jobs: the same as for the command line.
fn noted(action: &BulkAction, filter: &BulkFilter) -> Value {
    let (priority, to) = match action {
        BulkAction::Place(place) => (place.priority(), place.queue()),
        BulkAction::Cancel | BulkAction::Retry => (None, None),
    };
    object!({
        "priority": priority, "to": to,
        "queue": filter.queue, "kind": filter.kind, "states": filter.states, "batch": filter.batch, "error_like": filter.error_like,
        "older_than_s": filter.older_than.map(|age| age.as_secs()),
    })
}

async fn existing(api: &Api, id: Uuid) -> Result<Operation> {
    let found = api.store().operations(Some(id), 1).await?.pop();
    found.ok_or_else(|| Problem::no_such("operation", &id))
}

/// Change all jobs that a filter chooses
///
/// The change becomes an operation: the servers do it page by page, and go on if one of them stops or dies. Only jobs that were enqueued
/// before the request are changed.
#[utoipa::path(post, path = "/v1/jobs/bulk", tag = "jobs", operation_id = "change_jobs", request_body = BulkRequest,
    responses((status = 200, description = "With `dry_run`: how many jobs would be changed", body = BulkCounts),
              (status = 202, description = "The operation has begun", body = OperationView),
              (status = 409, description = "100 operations have not ended", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn bulk(State(api): State<Api>, caller: Caller, Body(fields): Body) -> Result<Response> {
    let Asked { action, filter, dry_run } = asked(fields, &api)?;
    if dry_run {
        let bulk = api.client().bulk(action, filter).await?;
        let counts: Vec<BulkCountView> =
            api.client().bulk_counts(&bulk).await?.into_iter().map(BulkCountView::from).collect();
        let total = counts.iter().map(BulkCountView::jobs).sum();
        return Ok(ok(&BulkCounts { dry_run, total, counts }));
    }
    caller.note(&api, "job.bulk", action.verb(), noted(&action, &filter)).await?;
    let Some(id) = api.client().new_operation(action, filter, &caller.actor()).await? else {
        return Err(Problem::new(Code::Conflict, "100 operations have not ended; try again when one of them has"));
    };
    api.new_operations().notify_one();
    let mut response = json(StatusCode::ACCEPTED, &existing(&api, id).await?);
    if let Ok(path) = HeaderValue::from_str(&format!("/v1/operations/{id}")) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

/// List the newest operations
#[utoipa::path(get, path = "/v1/operations", tag = "jobs", operation_id = "list_operations",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 1_000, description = "50 by default")),
    responses((status = 200, description = "The operations, the newest first", body = OperationList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn list(State(api): State<Api>, mut query: Query) -> Result<Response> {
    let limit = query.number("limit", SHOWN_DEFAULT, 1, SHOWN_MAX);
    query.finish()?;
    let operations = api.store().operations(None, i64::try_from(limit).unwrap_or(1)).await?;
    Ok(ok(&OperationList { operations }))
}

/// Show how far an operation is
///
/// An operation is kept for 14 days after its end.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "jobs", operation_id = "show_operation", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The operation", body = OperationView),
              (status = 404, description = "There is no such operation", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn show(State(api): State<Api>, Segment(JobId(id)): Segment<JobId>) -> Result<Response> {
    Ok(ok(&existing(&api, id).await?))
}

/// Stop an operation; what is done stays done
///
/// An operation that runs stops after its page, and its state is `running` until then.
#[utoipa::path(post, path = "/v1/operations/{id}/cancel", tag = "jobs", operation_id = "cancel_operation", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The operation stops, or was cancelled before", body = OperationView),
              (status = 404, description = "There is no such operation", body = ErrorBody),
              (status = 409, description = "The operation is done, or has failed", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Segment(JobId(id)): Segment<JobId>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    existing(&api, id).await?;
    caller.note(&api, "operation.cancel", &id.to_string(), object!({})).await?;
    let is_stopped = api.store().cancel_operation(id).await?;
    let operation = existing(&api, id).await?;
    if !is_stopped && operation.state != "cancelled" {
        let message = format!("the operation is {}, so it cannot be cancelled", operation.state);
        return Err(Problem::new(Code::Conflict, message));
    }
    Ok(ok(&operation))
}
