//! Queues: list them, pause and resume them, change their settings, empty them; and the numbers of all queues.

use crate::{
    answer::{ok, ok_unless_known},
    api::Api,
    auth::Caller,
    errors::{Code, DetailCode, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Segment},
    fields::Fields,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use leasehold_core::{Kind, QueueName};
use leasehold_store::{QueueChange, STRICT_PRIORITY_STEP};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// The longest time for which finished jobs are kept: the limit of the table.
const KEEP_DAYS_MAX: u64 = 36_500;
const KEY_MAX_BYTES: usize = leasehold_core::KEY_MAX_BYTES;
const WEIGHT: std::ops::RangeInclusive<f64> = 0.001..=1000.0;
/// The most jobs that one request cancels: this takes some seconds.
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
    /// Whether payloads must be encrypted.
    encrypted: bool,
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

/// The head of one queue in Redis: the first of its waiting jobs.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct HeadView {
    queue: String,
    /// Hints that wait for any worker.
    ready: u64,
    /// Hints that a worker is taking.
    claimed: u64,
    /// Hints that workers have taken.
    leased: u64,
    /// `ready`, `claimed` and `aside` together.
    waiting_members: u64,
    /// Hints that wait for workers that serve their kind.
    aside: u64,
    paused: bool,
    /// Whether the queue has more jobs than are in Redis.
    overflow: bool,
}

/// What Redis knows.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct HeadsView {
    /// The number of live workers.
    workers: usize,
    queues: Vec<HeadView>,
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
    #[schema(value_type = Option<HeadsView>)]
    redis: Option<Heads>,
}

#[derive(Debug, Serialize)]
struct Heads {
    workers: usize,
    queues: Vec<Head>,
}

/// A pause or the end of a pause: of a queue, or of one kind or one fair key in it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct PauseRequest {
    /// Only this kind. By default the whole queue.
    kind: Option<String>,
    /// Only the jobs with this fair key, in a queue that fair keys share. Not together with `kind`.
    #[schema(min_length = 1, max_length = 512)]
    fair_key: Option<String>,
}

/// Whether a queue, or a kind or a fair key in it, is paused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Paused {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fair_key: Option<String>,
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
    /// Whether payloads must be encrypted, and results are. Jobs that wait, and schedules, stay as they are.
    encrypted: Option<bool>,
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
    encrypted: bool,
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
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer")),
    responses((status = 200, description = "The queues", body = QueueList, headers(("ETag" = String, description = "Of this answer"))),
              (status = 304, description = "The client has this answer"),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn list(State(api): State<Api>, headers: HeaderMap) -> Result<Response> {
    Ok(ok_unless_known(&headers, &QueueList { queues: api.store().stats().await? }))
}

/// Show what both stores know about all queues
#[utoipa::path(get, path = "/v1/stats", tag = "queues", operation_id = "stats",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer")),
    responses((status = 200, description = "The numbers", body = Stats, headers(("ETag" = String, description = "Of this answer"))),
              (status = 304, description = "The client has this answer"),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn stats(State(api): State<Api>, headers: HeaderMap) -> Result<Response> {
    let postgres = api.store().stats().await?;
    let redis = match api.handoff() {
        Some(handoff) => heads(handoff).await.ok(),
        None => None,
    };
    Ok(ok_unless_known(&headers, &Stats { postgres, redis }))
}

async fn heads(handoff: &leasehold_handoff::Handoff) -> std::result::Result<Heads, leasehold_handoff::Error> {
    let names = handoff.noted_queues().await?;
    let heads = handoff.look(&names).await?;
    let in_use = names.into_iter().zip(heads).filter_map(|(queue, stats)| Some((queue, stats?)));
    let mut queues: Vec<Head> = in_use.map(|(queue, stats)| Head { stats, queue: queue.into() }).collect();
    queues.sort_by(|left, right| left.queue.cmp(&right.queue));
    Ok(Heads { workers: handoff.workers().await?.len(), queues })
}

/// Start no job of a queue until it is resumed; running jobs continue
#[utoipa::path(post, path = "/v1/queues/{queue}/pause", tag = "queues", operation_id = "pause_queue",
    params(("queue" = String, Path)), request_body = Option<PauseRequest>,
    responses((status = 200, description = "The queue is paused", body = Paused),
              (status = 409, description = "The fair keys of this queue are only labels", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Segment(queue): Segment<QueueName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    set_paused(&api, &caller, queue, fields, true).await
}

/// Resume a paused queue
#[utoipa::path(post, path = "/v1/queues/{queue}/resume", tag = "queues", operation_id = "resume_queue",
    params(("queue" = String, Path)), request_body = Option<PauseRequest>,
    responses((status = 200, description = "The queue is not paused", body = Paused),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Segment(queue): Segment<QueueName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    set_paused(&api, &caller, queue, fields, false).await
}

async fn set_paused(
    api: &Api,
    caller: &Caller,
    queue: QueueName,
    mut fields: Fields,
    paused: bool,
) -> Result<Response> {
    let kind: Option<Kind> = fields.parsed("kind", "the name of a kind");
    let fair_key = fair_key(&mut fields);
    if kind.is_some() && fair_key.is_some() {
        fields.refuse("fair_key", DetailCode::Invalid, "cannot be given together with kind");
    }
    fields.finish()?;
    if fair_key.is_some() && paused && !api.store().queue_settings(&queue).await?.fair {
        return Err(labels_only(&queue));
    }
    let client = api.client();
    let action = if paused { "queue.pause" } else { "queue.resume" };
    caller.note(api, action, queue.as_str(), json!({ "kind": kind, "fair_key": fair_key })).await?;
    let changed = match (&kind, &fair_key, paused) {
        (Some(kind), _, true) => client.pause_kind(&queue, kind).await?,
        (Some(kind), _, false) => client.resume_kind(&queue, kind).await?,
        (None, Some(key), true) => client.pause_fair_key(&queue, key).await?,
        (None, Some(key), false) => client.resume_fair_key(&queue, key).await?,
        (None, None, true) => client.pause(&queue).await?,
        (None, None, false) => client.resume(&queue).await?,
    };
    Ok(ok(&Paused { queue: queue.into(), kind: kind.map(Into::into), fair_key, paused, changed }))
}

fn labels_only(queue: &QueueName) -> Problem {
    let message = format!("the fair keys of the queue {queue} are only labels; set \"fair\": true for the queue first");
    Problem::new(Code::Conflict, message)
}

fn fair_key(fields: &mut Fields) -> Option<String> {
    let key: Option<String> = fields.value("fair_key", "a string")?;
    let key = key?;
    if key.is_empty() || key.len() > KEY_MAX_BYTES || key.contains('\0') {
        let message = format!("must have 1 to {KEY_MAX_BYTES} bytes, and no NUL");
        fields.refuse("fair_key", DetailCode::Invalid, message);
    }
    Some(key)
}

/// The share of a fair key.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct NewWeight {
    #[schema(min_length = 1, max_length = 512)]
    fair_key: String,
    /// How many jobs start for each job of a key with the weight 1. 1 by default.
    #[schema(minimum = 0.001, maximum = 1000)]
    weight: f64,
}

/// The weight of a fair key.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct WeightView {
    fair_key: String,
    weight: f64,
}

/// The weights of a queue that somebody has set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WeightList {
    #[schema(value_type = Vec<WeightView>)]
    weights: Vec<leasehold_client::FairWeight>,
}

/// List the weights of the fair keys of a queue that somebody has set
#[utoipa::path(get, path = "/v1/queues/{queue}/weights", tag = "queues", operation_id = "list_weights",
    params(("queue" = String, Path)),
    responses((status = 200, description = "The weights", body = WeightList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn weights(State(api): State<Api>, Segment(queue): Segment<QueueName>) -> Result<Response> {
    Ok(ok(&WeightList { weights: api.client().fair_weights(&queue).await? }))
}

/// Set the weight of a fair key in a queue
#[utoipa::path(put, path = "/v1/queues/{queue}/weights", tag = "queues", operation_id = "set_weight",
    params(("queue" = String, Path)), request_body = NewWeight,
    responses((status = 200, description = "The weights", body = WeightList),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn set_weight(
    State(api): State<Api>,
    caller: Caller,
    Segment(queue): Segment<QueueName>,
    Body(mut fields): Body,
) -> Result<Response> {
    let key = fair_key(&mut fields);
    if key.is_none() && fields.is_good() {
        fields.refuse("fair_key", DetailCode::Required, "is required; it must be a string");
    }
    let weight: Option<f64> = fields.required("weight", "a number from 0.001 to 1000");
    if weight.is_some_and(|weight| !WEIGHT.contains(&weight)) {
        fields.refuse("weight", DetailCode::Invalid, "must be a number from 0.001 to 1000");
    }
    fields.finish()?;
    if let (Some(key), Some(weight)) = (key, weight) {
        caller.note(&api, "queue.weight", queue.as_str(), json!({ "fair_key": key, "weight": weight })).await?;
        let refused = |error| Problem::from(error).at_words(&["fair_key", "weight"]);
        api.client().set_fair_weight(&queue, &key, weight).await.map_err(refused)?;
    }
    weights(State(api), Segment(queue)).await
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
    caller: Caller,
    Segment(queue): Segment<QueueName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    caller.note(&api, "queue.purge", queue.as_str(), json!({})).await?;
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

/// Set what one point of priority is worth in a queue, where its dead jobs go, how long its finished jobs are kept, whether fair keys
/// share it, and whether its payloads are encrypted
#[utoipa::path(patch, path = "/v1/queues/{queue}", tag = "queues", operation_id = "set_queue",
    params(("queue" = String, Path)), request_body = QueuePatch,
    responses((status = 200, description = "What is set now", body = QueueSet),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn set(
    State(api): State<Api>,
    caller: Caller,
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
    let encrypted: Option<bool> = fields.value("encrypted", "true or false");
    if dead_letter.as_ref() == Some(&Some(queue.clone())) {
        fields.refuse("dead_letter", DetailCode::Invalid, "must be another queue");
    }
    fields.finish()?;
    let keep_days = keep_days.map(|days| days.and_then(|days| u16::try_from(days).ok()));
    let change = QueueChange { dead_letter, keep_days, ..QueueChange::default() };
    if change == QueueChange::default() && step.is_none() && fair.is_none() && encrypted.is_none() {
        let fields = "nothing to set: give priority_step, dead_letter, keep_days, fair or encrypted";
        return Err(Problem::new(Code::Invalid, fields));
    }
    let detail = json!({
        "dead_letter": change.dead_letter, "keep_days": change.keep_days, "fair": fair, "encrypted": encrypted,
        "priority_step_ms": step.map(|step| u64::try_from(step.as_millis()).unwrap_or(u64::MAX)),
    });
    caller.note(&api, "queue.set", queue.as_str(), detail).await?;
    if change != QueueChange::default() {
        api.store().set_queue(&queue, &change).await?;
    }
    if let Some(step) = step {
        api.client().set_priority_step(&queue, step).await?;
    }
    if let Some(fair) = fair {
        api.client().set_fair(&queue, fair).await?;
    }
    if let Some(encrypted) = encrypted {
        let refused = |error| Problem::from(error).at_words(&["encrypted"]);
        api.store().set_queue_encrypted(&queue, encrypted).await.map_err(refused)?;
    }
    let set = api.store().queue_settings(&queue).await?;
    Ok(ok(&QueueSet {
        queue: queue.into(),
        paused: set.paused,
        priority_step_ms: set.priority_step_ms,
        dead_letter: set.dead_letter,
        keep_days: set.keep_days,
        fair: set.fair,
        encrypted: set.encrypted,
    }))
}
