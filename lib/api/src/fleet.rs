//! The live workers, and the drain of those that claim over HTTP.

use crate::{
    answer::ok,
    api::Api,
    auth::Caller,
    errors::{Code, ErrorBody, Problem, Result},
    extract::{OptionalBody, Segment},
};
use axum::{extract::State, response::Response};
use leasehold_core::WorkerId;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// The live workers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerList {
    #[schema(value_type = Vec<WorkerView>)]
    workers: Vec<leasehold_ports::WorkerRecord>,
}

/// A live worker.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct WorkerView {
    id: Uuid,
    host: String,
    pid: u32,
    version: String,
    started_at: String,
    /// Each queue, and the most runs of it.
    queues: Vec<(String, u32)>,
    /// `null`: every kind.
    kinds: Option<Vec<String>>,
    /// The jobs that run now.
    running: u32,
    /// The worker takes no more jobs.
    draining: bool,
    /// Only of a worker that claims over HTTP. Its host, its process and its version are not known.
    #[schema(nullable = false)]
    http: Option<HttpWorkerView>,
}

/// What a server knows about a worker that claims over HTTP.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct HttpWorkerView {
    /// The server: its host and its process.
    server: String,
    last_claim_at: String,
    /// Claims that wait for jobs.
    waiting: u32,
}

/// A worker gets no more jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drained {
    worker: Uuid,
    draining: bool,
}

fn unavailable() -> Problem {
    Problem::new(Code::Unavailable, "Redis is unavailable, and only Redis knows the workers; try again")
}

/// List the live workers and what they serve
///
/// A worker that claims over HTTP lives while one of its claims waits or came in the last minute, or while it holds all jobs that it has
/// asked for. One that only renews its leases does not count.
#[utoipa::path(get, path = "/v1/workers", tag = "queues", operation_id = "list_workers",
    responses((status = 200, description = "The workers", body = WorkerList),
              (status = 503, description = "Redis is unavailable", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn workers(State(api): State<Api>) -> Result<Response> {
    let handoff = api.handoff().ok_or_else(unavailable)?;
    let workers = handoff.workers().await.map_err(|error| {
        tracing::debug!(%error, "the workers cannot be listed");
        unavailable()
    })?;
    Ok(ok(&WorkerList { workers }))
}

/// Let a worker that claims over HTTP get no more jobs
///
/// Its claims that wait are answered without a job. New claims are refused with the code `draining`, and `renew` answers
/// `"quiet": true`. Runs continue. Other servers follow within a second. The drain lasts: a process that starts again is another worker.
#[utoipa::path(post, path = "/v1/workers/{worker}/drain", tag = "queues", operation_id = "drain_worker",
    params(("worker" = Uuid, Path, description = "The UUID of the worker")),
    responses((status = 200, description = "The worker gets no more jobs", body = Drained),
              (status = 409, description = "The worker does not claim over HTTP: stop its process", body = ErrorBody),
              (status = 422, description = "The id is no UUID", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn drain(
    State(api): State<Api>,
    caller: Caller,
    Segment(worker): Segment<Uuid>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    // Without Redis this is unknown. In this case the drain of another kind of worker changes nothing.
    let known = match api.handoff() {
        Some(handoff) => handoff.workers().await.unwrap_or_default(),
        None => Vec::new(),
    };
    if known.iter().any(|known| known.id.0 == worker && known.http.is_none()) {
        let message = "this worker does not claim over HTTP: stop its process, and it ends its runs";
        return Err(Problem::new(Code::Conflict, message));
    }
    caller.note(&api, "worker.drain", &worker.to_string(), json!({})).await?;
    api.dispatcher().drain(WorkerId(worker)).await?;
    Ok(ok(&Drained { worker, draining: true }))
}
