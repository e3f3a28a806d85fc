//! Graphs and batches: jobs that belong together.

use crate::{
    answer::{json, ok},
    api::Api,
    auth::Caller,
    errors::{Code, Detail, DetailCode, ErrorBody, Problem, Result},
    extract::{JsonText, OptionalBody, Query, Segment},
    fields::Fields,
    jobs::{NewJobWords, idempotency_key, late, other_request, refused as refused_words, traceparent},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use leasehold_client::{Batch, BatchSeal, Error, Once, Sealed, check_batch_name};
use leasehold_core::{GRAPH_MAX_JOBS, Graph, JobId, NamedJob, QueueName};
use serde::Serialize;
use serde_json::json as object;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

const GRAPH_SHOWN: u64 = 1_000;
const GRAPH_SHOWN_MAX: u64 = 100_000;
const BATCHES_SHOWN: u64 = 50;
const WAIT_MAX_MS: u64 = 50_000;
const WAIT_DEFAULT_MS: u64 = 20_000;

/// A job of a graph: the words of a job, its name, and the names of the jobs that must succeed first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewGraphJob {
    name: Option<String>,
    after: Option<Vec<String>>,
    #[serde(flatten)]
    job: NewJobWords,
}

/// Jobs that depend on each other.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct NewGraph {
    #[schema(max_items = 10_000, min_items = 1)]
    jobs: Vec<NewGraphJob>,
}

/// A job of a graph.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphJob {
    name: Option<String>,
    id: Uuid,
    inserted: bool,
    state: String,
}

/// The jobs of a graph, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphJobs {
    jobs: Vec<GraphJob>,
}

/// A job that is shown in its graph. A job that has left history has only its id.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct GraphJobView {
    id: Uuid,
    kind: Option<String>,
    queue: Option<String>,
    state: Option<String>,
}

/// A dependency between two jobs.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct GraphEdgeView {
    parent: Uuid,
    child: Uuid,
    /// Whether the child no longer waits for this parent.
    met: bool,
    /// What happens to the child when the parent ends without success: `cancel`, `hold` or `run`.
    on_parent_failure: String,
}

/// A job, the jobs that it depends on, the jobs that depend on it, and so on.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct GraphView {
    jobs: Vec<GraphJobView>,
    edges: Vec<GraphEdgeView>,
    /// Whether the graph has more jobs than were read.
    is_cut: bool,
}

/// A batch, with the number of its jobs by state.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct BatchView {
    name: String,
    created_at: DateTime<Utc>,
    sealed_at: Option<DateTime<Utc>>,
    /// When a reaper has seen that the batch is sealed and that all of its jobs have ended.
    completed_at: Option<DateTime<Utc>>,
    blocked: i64,
    scheduled: i64,
    queued: i64,
    running: i64,
    succeeded: i64,
    dead: i64,
    cancelled: i64,
    on_success: Option<String>,
    on_complete: Option<String>,
    on_death: Option<String>,
    callback_queue: String,
    /// The jobs of the callbacks, once they are enqueued.
    success_job: Option<Uuid>,
    complete_job: Option<Uuid>,
    death_job: Option<Uuid>,
}

/// Batches, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchList {
    #[schema(value_type = Vec<BatchView>)]
    batches: Vec<Batch>,
}

/// The callbacks of a batch: the kinds of the jobs that are enqueued, each once.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct Callbacks {
    on_success: Option<String>,
    on_complete: Option<String>,
    on_death: Option<String>,
    /// The queue of these jobs.
    #[schema(default = "default")]
    queue: Option<String>,
}

/// What became of the live jobs of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchCancelled {
    cancelled: u64,
    /// Running jobs whose workers are told to stop.
    stopping: u64,
}

/// The name of a batch, as a part of a path.
#[derive(Debug)]
pub(crate) struct BatchName(String);

impl std::str::FromStr for BatchName {
    type Err = leasehold_core::InvalidJob;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        check_batch_name(text).map(|()| Self(text.to_owned()))
    }
}

/// Enqueue a graph of jobs in one transaction: all of them or none
#[utoipa::path(post, path = "/v1/graphs", tag = "jobs", operation_id = "submit_graph", request_body = NewGraph,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters, made by the client"),
           ("traceparent" = Option<String>, Header, description = "The trace of the jobs that name none, as W3C Trace Context 00. Their workers get it")),
    responses((status = 201, description = "The jobs", body = GraphJobs),
              (status = 422, description = "A field is not valid, the graph has a cycle, or the key was sent with another body", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn submit(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Result<Response> {
    // A request to another path is another request, also with the same body.
    let key = idempotency_key(&headers, &format!("graph {text}"))?;
    let mut fields = Fields::of_body(&text)?;
    let read = api.settings().read_node;
    let nodes = fields.array("jobs", GRAPH_MAX_JOBS);
    if nodes.is_empty() && fields.is_good() {
        fields.refuse("jobs", DetailCode::Invalid, format!("must have 1 to {GRAPH_MAX_JOBS} jobs"));
    }
    let mut graph: Vec<NamedJob> = Vec::with_capacity(nodes.len());
    for (nth, node) in nodes.iter().enumerate() {
        match read(node.get()) {
            Ok(node) => graph.push(node),
            Err(error) => fields.add(refused_words(read, &format!("/jobs/{nth}"), node.get(), &error)),
        }
    }
    fields.finish()?;
    if let Some(traceparent) = traceparent(&headers) {
        graph.iter_mut().for_each(|node| _ = node.job.traceparent.get_or_insert_with(|| traceparent.clone()));
    }
    caller.needs_enqueue(graph.iter().map(|node| &node.job), |nth| format!("/jobs/{nth}"))?;
    let names: Vec<String> = graph.iter().map(|node| node.name.clone()).collect();
    let refused = |error| match error {
        Error::Graph(error) => Problem::invalid(vec![Detail::new("/jobs", DetailCode::Invalid, error.to_string())]),
        error => {
            let jobs: Vec<(String, &str)> =
                nodes.iter().enumerate().map(|(nth, node)| (format!("/jobs/{nth}"), node.get())).collect();
            late(error.into(), &jobs)
        }
    };
    let answers = match &key {
        None => api.client().enqueue_graph(graph).await.map_err(refused)?,
        Some(key) => {
            let _turn = api.turn_of(&key.key).await;
            match api.client().enqueue_graph_once(graph, key).await.map_err(refused)? {
                Once::Done(answers) | Once::Already(answers) => answers,
                Once::OtherRequest => return Err(other_request()),
            }
        }
    };
    let jobs = names.into_iter().zip(answers).map(|(name, answer)| GraphJob {
        name: Some(name).filter(|name| !name.is_empty()),
        id: answer.id.0,
        inserted: answer.inserted,
        state: answer.state.to_string(),
    });
    Ok(json(StatusCode::CREATED, &GraphJobs { jobs: jobs.collect() }))
}

/// Show the jobs that a job depends on, the jobs that depend on it, and so on
#[utoipa::path(get, path = "/v1/graphs/{id}", tag = "jobs", operation_id = "show_graph",
    params(("id" = Uuid, Path, description = "The id of any job of the graph"),
           ("limit" = Option<u64>, Query, minimum = 1, maximum = 100_000, description = "The most jobs; 1,000 by default")),
    responses((status = 200, description = "The jobs and their edges", body = GraphView),
              (status = 404, description = "There is no such job", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn graph(State(api): State<Api>, Segment(id): Segment<JobId>, mut query: Query) -> Result<Response> {
    let limit = query.number("limit", GRAPH_SHOWN, 1, GRAPH_SHOWN_MAX);
    query.finish()?;
    let graph: Graph = api.client().graph(id, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
    Ok(ok(&graph))
}

/// List batches, the newest first
#[utoipa::path(get, path = "/v1/batches", tag = "jobs", operation_id = "list_batches",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 1_000, description = "The most batches; 50 by default")),
    responses((status = 200, description = "The batches", body = BatchList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn batches(State(api): State<Api>, mut query: Query) -> Result<Response> {
    let limit = query.number("limit", BATCHES_SHOWN, 1, 1_000);
    query.finish()?;
    let batches = api.client().batches(i64::try_from(limit).unwrap_or(1)).await?;
    Ok(ok(&BatchList { batches }))
}

async fn existing(api: &Api, BatchName(name): &BatchName) -> Result<Batch> {
    api.client().batch(name).await?.ok_or_else(|| Problem::no_such("batch", name))
}

/// Show a batch with the number of its jobs by state
#[utoipa::path(get, path = "/v1/batches/{name}", tag = "jobs", operation_id = "show_batch", params(("name" = String, Path)),
    responses((status = 200, description = "The batch", body = BatchView),
              (status = 404, description = "There is no such batch", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn batch(State(api): State<Api>, Segment(name): Segment<BatchName>) -> Result<Response> {
    Ok(ok(&existing(&api, &name).await?))
}

/// Wait until no job of a batch is live
#[utoipa::path(get, path = "/v1/batches/{name}/wait", tag = "jobs", operation_id = "wait_for_batch",
    params(("name" = String, Path),
           ("timeout_ms" = Option<u64>, Query, maximum = 50_000, description = "How long to wait; 20,000 by default")),
    responses((status = 200, description = "All jobs have ended", body = BatchView),
              (status = 202, description = "Some jobs are live", body = BatchView),
              (status = 404, description = "There is no such batch", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn wait_batch(
    State(api): State<Api>,
    Segment(name): Segment<BatchName>,
    mut query: Query,
) -> Result<Response> {
    let timeout = Duration::from_millis(query.number("timeout_ms", WAIT_DEFAULT_MS, 0, WAIT_MAX_MS));
    query.finish()?;
    let waited = tokio::select! {
        biased;
        waited = api.client().wait_batch(&name.0, timeout) => waited,
        () = api.stopping() => Err(Error::BatchTimedOut(name.0.clone())),
    };
    match waited {
        Ok(batch) => Ok(ok(&batch.ok_or_else(|| Problem::no_such("batch", &name.0))?)),
        Err(Error::BatchTimedOut(_)) => Ok(json(StatusCode::ACCEPTED, &existing(&api, &name).await?)),
        Err(error) => Err(error.into()),
    }
}

/// Seal a batch: no job can be added any more, and callbacks are enqueued when its jobs have ended
#[utoipa::path(post, path = "/v1/batches/{name}/seal", tag = "jobs", operation_id = "seal_batch", params(("name" = String, Path)),
    request_body = Option<Callbacks>,
    responses((status = 200, description = "The batch is sealed", body = BatchView),
              (status = 404, description = "There is no such batch", body = ErrorBody),
              (status = 409, description = "The batch is sealed already, with other callbacks", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn seal(
    State(api): State<Api>,
    Segment(name): Segment<BatchName>,
    OptionalBody(mut fields): OptionalBody,
) -> Result<Response> {
    let seal = BatchSeal::default().with(|seal| {
        seal.on_success = fields.parsed("on_success", "the name of a kind");
        seal.on_complete = fields.parsed("on_complete", "the name of a kind");
        seal.on_death = fields.parsed("on_death", "the name of a kind");
        seal.queue = fields.parsed("queue", "the name of a queue").unwrap_or_else(QueueName::default);
    });
    fields.finish()?;
    match api.client().seal_batch(&name.0, &seal).await? {
        Sealed::Now | Sealed::Already => Ok(ok(&existing(&api, &name).await?)),
        Sealed::Unknown => Err(Problem::no_such("batch", &name.0)),
        Sealed::Otherwise => {
            Err(Problem::new(Code::Conflict, "the batch is sealed already, with other callbacks; nothing was changed"))
        }
    }
}

/// Cancel the live jobs of a batch
#[utoipa::path(post, path = "/v1/batches/{name}/cancel", tag = "jobs", operation_id = "cancel_batch",
    params(("name" = String, Path)),
    responses((status = 200, description = "The jobs are cancelled, or their workers are told to stop", body = BatchCancelled),
              (status = 404, description = "There is no such batch", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn cancel_batch(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<BatchName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    existing(&api, &name).await?;
    caller.note(&api, "batch.cancel", &name.0, object!({})).await?;
    let (cancelled, stopping) = api.client().cancel_batch(&name.0).await?;
    Ok(ok(&BatchCancelled { cancelled, stopping }))
}
