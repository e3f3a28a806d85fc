//! Queues: list them, pause and resume them, set what they do, empty them; and the numbers of all.

use crate::{
    answer::ok,
    api::Api,
    errors::{Code, DetailCode, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Segment},
};
use axum::{extract::State, response::Response};
use leasehold_core::{Kind, QueueName};
use leasehold_store::{QueueChange, STRICT_PRIORITY_STEP};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The longest time for which finished jobs are kept: the limit of the table.
const KEEP_DAYS_MAX: u64 = 36_500;
/// How many jobs one request cancels at most: so many take some seconds.
const PURGE_MAX: usize = 100_000;

/// A queue that has jobs or settings.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct QueueView {
    queue: String,
    paused: bool,
    /// The kinds that are paused in this queue.
    paused_kinds: Vec<String>,
    /// The fair keys that are paused in the queue.
    paused_fair_keys: Vec<String>,
    blocked: i64,
    scheduled: i64,
    queued: i64,
    running: i64,
    /// For how many seconds the oldest job in the line has been due.
    oldest_s: Option<f64>,
    succeeded_last_minute: i64,
    dead_last_minute: i64,
    cancelled_last_minute: i64,
}

/// All queues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueList {
    #[schema(value_type = Vec<QueueView>)]
    queues: Vec<leasehold_store::QueueStats>,
}

/// The head of one queue in Redis.
#[derive(Debug, Serialize)]
struct Head {
    queue: String,
    #[serde(flatten)]
    stats: leasehold_handoff::HeadStats,
}

/// What both stores know about the queues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// Counted in PostgreSQL.
    #[schema(value_type = Vec<QueueView>)]
    postgres: Vec<leasehold_store::QueueStats>,
    /// The heads in Redis, and the number of live workers. `null` while Redis is unavailable.
    #[schema(value_type = Option<serde_json::Value>)]
    redis: Option<Heads>,
}

#[derive(Debug, Serialize)]
struct Heads {
    workers: usize,
    queues: Vec<Head>,
}

/// The live workers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerList {
    #[schema(value_type = Vec<serde_json::Value>)]
    workers: Vec<leasehold_ports::WorkerRecord>,
}

/// A pause or the end of a pause: of a queue, or of one kind in it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct PauseRequest {
    /// Only this kind. By default the whole queue.
    kind: Option<String>,
}

/// Whether a queue, or a kind in it, is paused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Paused {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<String>,
    paused: bool,
    /// Whether this request has changed that.
    changed: bool,
}

/// What to change. A field that is left out stays as it is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct QueuePatch {
    /// The waiting time that one point of priority is worth: a duration such as `10m`, or `strict`.
    priority_step: Option<String>,
    /// The queue that gets a job for each job that dies; `null`: no queue.
    dead_letter: Option<String>,
    /// For how many days finished jobs are kept; `null`: as the setting of the fleet says.
    #[schema(minimum = 1, maximum = 36_500)]
    keep_days: Option<u64>,
    /// Whether the jobs that have fair keys share the queue; `false`: their keys are only labels.
    fair: Option<bool>,
}

/// What is set for a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueSet {
    queue: String,
    paused: bool,
    priority_step_ms: Option<i64>,
    dead_letter: Option<String>,
    keep_days: Option<i32>,
    fair: bool,
}

/// How many waiting jobs were cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Purged {
    queue: String,
    cancelled: usize,
    /// Whether jobs may be left: send the request again.
    more: bool,
}

/// List the queues that have jobs or settings, with the numbers of their jobs
#[utoipa::path(get, path = "/v1/queues", tag = "queues", operation_id = "list_queues",
    responses((status = 200, description = "The queues", body = QueueList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Response> {
    Ok(ok(&QueueList { queues: api.store().stats().await? }))
}

/// Show what both stores know about all queues
#[utoipa::path(get, path = "/v1/stats", tag = "queues", operation_id = "stats",
    responses((status = 200, description = "The numbers", body = Stats),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn stats(State(api): State<Api>) -> Result<Response> {
    let postgres = api.store().stats().await?;
    let redis = match api.handoff() {
        Some(handoff) => heads(handoff).await.ok(),
        None => None,
    };
    Ok(ok(&Stats { postgres, redis }))
}

async fn heads(handoff: &leasehold_handoff::Handoff) -> std::result::Result<Heads, leasehold_handoff::Error> {
    let names = handoff.noted_queues().await?;
    let heads = handoff.look(&names).await?;
    let in_use = names.into_iter().zip(heads).filter_map(|(queue, stats)| Some((queue, stats?)));
    let mut queues: Vec<Head> = in_use.map(|(queue, stats)| Head { stats, queue: queue.into() }).collect();
    queues.sort_by(|left, right| left.queue.cmp(&right.queue));
    Ok(Heads { workers: handoff.workers().await?.len(), queues })
}

/// List the live workers and what they serve
///
/// The clients that wait for jobs of one queue over HTTP are shown as one worker for each server.
#[utoipa::path(get, path = "/v1/workers", tag = "queues", operation_id = "list_workers",
    responses((status = 200, description = "The workers", body = WorkerList),
              (status = 503, description = "Redis is unavailable", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn workers(State(api): State<Api>) -> Result<Response> {
    let unavailable =
        || Problem::new(Code::Unavailable, "Redis is unavailable, and only Redis knows the workers; try again");
    let handoff = api.handoff().ok_or_else(unavailable)?;
    let workers = handoff.workers().await.map_err(|error| {
        tracing::debug!(%error, "the workers cannot be listed");
        unavailable()
    })?;
    Ok(ok(&WorkerList { workers }))
}

/// Start no job of a queue until it is resumed; running jobs continue
#[utoipa::path(post, path = "/v1/queues/{queue}/pause", tag = "queues", operation_id = "pause_queue",
    params(("queue" = String, Path)), request_body = PauseRequest,
    responses((status = 200, description = "The queue is paused", body = Paused),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn pause(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    OptionalBody(mut fields): OptionalBody,
) -> Result<Response> {
    let kind: Option<Kind> = fields.parsed("kind", "the name of a kind");
    fields.finish()?;
    let changed = match &kind {
        Some(kind) => api.client().pause_kind(&queue, kind).await?,
        None => api.client().pause(&queue).await?,
    };
    Ok(ok(&Paused { queue: queue.into(), kind: kind.map(Into::into), paused: true, changed }))
}

/// Resume a paused queue
#[utoipa::path(post, path = "/v1/queues/{queue}/resume", tag = "queues", operation_id = "resume_queue",
    params(("queue" = String, Path)), request_body = PauseRequest,
    responses((status = 200, description = "The queue is not paused", body = Paused),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn resume(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    OptionalBody(mut fields): OptionalBody,
) -> Result<Response> {
    let kind: Option<Kind> = fields.parsed("kind", "the name of a kind");
    fields.finish()?;
    let changed = match &kind {
        Some(kind) => api.client().resume_kind(&queue, kind).await?,
        None => api.client().resume(&queue).await?,
    };
    Ok(ok(&Paused { queue: queue.into(), kind: kind.map(Into::into), paused: false, changed }))
}

/// Cancel the waiting jobs of a queue; running jobs continue
///
/// One request cancels up to 100,000 jobs.
#[utoipa::path(post, path = "/v1/queues/{queue}/purge", tag = "queues", operation_id = "purge_queue",
    params(("queue" = String, Path)),
    responses((status = 200, description = "The jobs are cancelled", body = Purged),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn purge(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    let mut cancelled = 0;
    let more = loop {
        let page = api.client().purge(&queue).await?.len();
        cancelled += page;
        if page == 0 || cancelled >= PURGE_MAX {
            break page > 0;
        }
    };
    Ok(ok(&Purged { queue: queue.into(), cancelled, more }))
}

/// Set what one point of priority is worth in a queue, where its dead jobs go, how long its finished jobs are kept, and whether fair keys
/// share it
#[utoipa::path(patch, path = "/v1/queues/{queue}", tag = "queues", operation_id = "set_queue",
    params(("queue" = String, Path)), request_body = QueuePatch,
    responses((status = 200, description = "What is set now", body = QueueSet),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn set(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    Body(mut fields): Body,
) -> Result<Response> {
    let dead_letter =
        fields.is_there("dead_letter").then(|| fields.parsed::<QueueName>("dead_letter", "the name of a queue"));
    let keep_days = fields.is_there("keep_days").then(|| fields.number("keep_days", 1..=KEEP_DAYS_MAX));
    let step: Option<String> = fields.value("priority_step", "a duration such as 10m, or strict");
    let read = |text: &str| match text {
        "strict" => Ok(STRICT_PRIORITY_STEP),
        text => (api.settings().read_duration)(text),
    };
    let step: Option<Duration> = match step.as_deref().map(read) {
        Some(Ok(step)) if step <= STRICT_PRIORITY_STEP => Some(step),
        Some(Ok(_)) => {
            fields.refuse("priority_step", DetailCode::Invalid, "is more than 60 years, which is strict");
            None
        }
        Some(Err(error)) => {
            fields.refuse("priority_step", DetailCode::Invalid, error);
            None
        }
        None => None,
    };
    let fair: Option<bool> = fields.value("fair", "true or false");
    if dead_letter.as_ref() == Some(&Some(queue.clone())) {
        fields.refuse("dead_letter", DetailCode::Invalid, "must be another queue");
    }
    fields.finish()?;
    let keep_days = keep_days.map(|days| days.and_then(|days| u16::try_from(days).ok()));
    let change = QueueChange { dead_letter, keep_days, ..QueueChange::default() };
    if change == QueueChange::default() && step.is_none() && fair.is_none() {
        return Err(Problem::new(Code::Invalid, "nothing to set: give priority_step, dead_letter, keep_days or fair"));
    }
    if change != QueueChange::default() {
        api.store().set_queue(&queue, &change).await?;
    }
    if let Some(step) = step {
        api.client().set_priority_step(&queue, step).await?;
    }
    if let Some(fair) = fair {
        api.client().set_fair(&queue, fair).await?;
    }
    let set = api.store().queue_settings(&queue).await?;
    Ok(ok(&QueueSet {
        queue: queue.into(),
        paused: set.paused,
        priority_step_ms: set.priority_step_ms,
        dead_letter: set.dead_letter,
        keep_days: set.keep_days,
        fair: set.fair,
    }))
}
