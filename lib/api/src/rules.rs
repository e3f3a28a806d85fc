//! Limits and schedules: rules that are set once and hold for many jobs.

use crate::{
    answer::ok,
    api::Api,
    auth::Caller,
    errors::{DetailCode, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Segment},
    fields::Fields,
    jobs::{NewJobWords, read_job},
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use leasehold_client::{Error, KeyLimit, LimitRecord, Schedule, upcoming};
use leasehold_core::{Missed, NewSchedule, ScheduleName, Timing};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many ticks of a schedule are shown.
const TICKS_SHOWN: usize = 5;
const LIMIT_MAX: u64 = 1_000_000;

/// The limit of a key, or of each key that matches a pattern. A pattern ends in `*`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct NewLimit {
    /// The most runs at the same time.
    #[schema(maximum = 1_000_000)]
    running: Option<u64>,
    /// The most starts in a time: `10/s`, `600/m`, `5/h` or `100/d`.
    rate: Option<String>,
    /// The most starts at one moment.
    #[schema(minimum = 1, maximum = 1_000_000)]
    burst: Option<u64>,
}

/// The limit of a key or of a pattern.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct LimitView {
    key: String,
    running: Option<i32>,
    rate: Option<String>,
    burst: Option<i32>,
    /// When the limit was set.
    changed_at: DateTime<Utc>,
    /// The runs that count against the limit now. Of a pattern: of all its keys. Always 0 for a rate alone.
    running_now: i64,
    /// The queued jobs of the key, counted up to 10,000. A job with several keys counts for the one that it waits for.
    waiting: i64,
}

/// All limits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitList {
    #[schema(value_type = Vec<LimitView>)]
    limits: Vec<LimitRecord>,
}

/// Something was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removed {
    pub(crate) removed: bool,
}

/// A schedule: each tick enqueues the job.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct NewScheduleWords {
    /// Five fields, six with the seconds first, or `@daily` and the like.
    cron: Option<String>,
    /// The zone of the cron expression; UTC by default.
    timezone: Option<String>,
    /// The time from one tick to the next, such as `90s`. Instead of `cron`.
    every: Option<String>,
    /// `skip`, `one` or `all:N`.
    missed: Option<String>,
    /// The fields of the job, without `id`, `delay`, `run_at`, `expires_at` and `depends_on`.
    job: NewJobWords,
}

/// A schedule.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct ScheduleView {
    name: String,
    cron: Option<String>,
    timezone: Option<String>,
    every_ms: Option<i64>,
    /// `skip`, `one` or `all:N`.
    missed: String,
    queue: String,
    kind: String,
    payload: serde_json::Value,
    priority: i16,
    max_attempts: i32,
    timeout_ms: Option<i32>,
    unique_key: Option<String>,
    /// The first of `limit_keys`.
    limit_key: Option<String>,
    limit_keys: Option<Vec<String>>,
    retry: Option<serde_json::Value>,
    expires_in_ms: Option<i64>,
    unique: Option<serde_json::Value>,
    batch: Option<String>,
    fair_key: Option<String>,
    webhook: Option<String>,
    /// `null` while the schedule is paused.
    next_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    /// The last tick that made a job, and the job.
    last_tick: Option<DateTime<Utc>>,
    last_job: Option<Uuid>,
    last_error: Option<String>,
    /// The next ticks. A list of schedules leaves them out.
    #[schema(nullable = false)]
    next: Option<Vec<DateTime<Utc>>>,
}

/// A schedule and its next ticks.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    schedule: Schedule,
    next: Vec<DateTime<Utc>>,
}

/// All schedules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    #[schema(value_type = Vec<ScheduleView>)]
    schedules: Vec<Schedule>,
}

/// A job that a schedule has made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduledJob {
    id: Uuid,
    /// `false`: a live job has the unique key.
    inserted: bool,
}

/// List all limits, with the runs that count and the jobs that wait
#[utoipa::path(get, path = "/v1/limits", tag = "queues", operation_id = "list_limits",
    responses((status = 200, description = "The limits", body = LimitList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn limits(State(api): State<Api>) -> Result<Response> {
    Ok(ok(&LimitList { limits: api.client().limits().await? }))
}

/// Show the limit of a key
#[utoipa::path(get, path = "/v1/limits/{key}", tag = "queues", operation_id = "show_limit", params(("key" = String, Path)),
    responses((status = 200, description = "The limit", body = LimitView),
              (status = 404, description = "The key has no limit", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn limit(State(api): State<Api>, Segment(key): Segment<String>) -> Result<Response> {
    let limit = api.client().limit(&key).await?;
    Ok(ok(&limit.ok_or_else(|| Problem::no_such("limit for", &key))?))
}

/// Set the limit of a key
#[utoipa::path(put, path = "/v1/limits/{key}", tag = "queues", operation_id = "set_limit", params(("key" = String, Path)),
    request_body = NewLimit,
    responses((status = 200, description = "The limit", body = LimitView),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn set_limit(
    State(api): State<Api>,
    caller: Caller,
    Segment(key): Segment<String>,
    Body(mut fields): Body,
) -> Result<Response> {
    let number = |number: Option<u64>| number.and_then(|number| i32::try_from(number).ok());
    let new = KeyLimit::default().with(|limit| {
        limit.running = number(fields.number("running", 0..=LIMIT_MAX));
        limit.rate = fields.value("rate", "a text such as 10/s");
        limit.burst = number(fields.number("burst", 1..=LIMIT_MAX));
    });
    if new.burst.is_some() && new.rate.is_none() {
        fields.refuse("burst", DetailCode::Invalid, "needs rate");
    }
    if new.running.is_none() && new.rate.is_none() {
        fields.refuse("running", DetailCode::Required, "running or rate is required");
    }
    fields.finish()?;
    let detail = json!({ "running": new.running, "rate": new.rate, "burst": new.burst });
    caller.note(&api, "limit.set", &key, detail).await?;
    let refused = |error| match Problem::from(error).at_words(&["key", "running", "rate", "burst"]) {
        problem if problem.details.iter().any(|detail| detail.pointer == "/key") => problem.below("/path"),
        problem => problem,
    };
    api.client().set_limit(&key, &new).await.map_err(refused)?;
    let limit = api.client().limit(&key).await?;
    Ok(ok(&limit.ok_or_else(|| Problem::no_such("limit for", &key))?))
}

/// Remove the limit of a key: the jobs that wait for it may start
#[utoipa::path(delete, path = "/v1/limits/{key}", tag = "queues", operation_id = "remove_limit", params(("key" = String, Path)),
    responses((status = 200, description = "The key has no limit", body = Removed),
              (status = 404, description = "The key has no limit", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn remove_limit(
    State(api): State<Api>,
    caller: Caller,
    Segment(key): Segment<String>,
) -> Result<Response> {
    caller.note(&api, "limit.remove", &key, json!({})).await?;
    match api.client().remove_limit(&key).await? {
        true => Ok(ok(&Removed { removed: true })),
        false => Err(Problem::no_such("limit for", &key)),
    }
}

/// List all schedules
#[utoipa::path(get, path = "/v1/schedules", tag = "queues", operation_id = "list_schedules",
    responses((status = 200, description = "The schedules", body = ScheduleList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn schedules(State(api): State<Api>) -> Result<Response> {
    Ok(ok(&ScheduleList { schedules: api.client().schedules().await? }))
}

async fn shown(api: &Api, name: &ScheduleName) -> Result<Response> {
    let schedule = api.client().schedule(name).await?.ok_or_else(|| no_schedule(name))?;
    // For a row that this program cannot read, no next ticks are shown.
    let next = upcoming(&schedule, TICKS_SHOWN).unwrap_or_default();
    Ok(ok(&Shown { schedule, next }))
}

fn no_schedule(name: &ScheduleName) -> Problem {
    Problem::no_such("schedule", name)
}

/// Show a schedule and its next ticks
#[utoipa::path(get, path = "/v1/schedules/{name}", tag = "queues", operation_id = "show_schedule",
    params(("name" = String, Path)),
    responses((status = 200, description = "The schedule", body = ScheduleView),
              (status = 404, description = "There is no such schedule", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn schedule(State(api): State<Api>, Segment(name): Segment<ScheduleName>) -> Result<Response> {
    shown(&api, &name).await
}

/// Make a schedule, or change the schedule that has this name. A change takes effect immediately
#[utoipa::path(put, path = "/v1/schedules/{name}", tag = "queues", operation_id = "set_schedule",
    params(("name" = String, Path)), request_body = NewScheduleWords,
    responses((status = 200, description = "The schedule", body = ScheduleView),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn set_schedule(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<ScheduleName>,
    Body(mut fields): Body,
) -> Result<Response> {
    let timing = timing(&mut fields, &api);
    let missed = fields.parsed::<Missed>("missed", "skip, one or all:N").unwrap_or_default();
    let job = match fields.raw("job") {
        Some(job) => match read_job(api.settings().read_job, "/job", job.get()) {
            Ok(job) => Some(job),
            Err(bad) => {
                fields.add(bad);
                None
            }
        },
        None => {
            fields.refuse("job", DetailCode::Required, "is required; it must be an object with the fields of a job");
            None
        }
    };
    if let Some(job) = &job {
        let given = [
            ("id", job.id_may_exist),
            ("delay", job.delay.is_some()),
            ("run_at", job.run_at.is_some()),
            ("expires_at", job.expires_at.is_some()),
            ("depends_on", !job.depends_on.is_empty()),
            ("traceparent", job.traceparent.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            fields.refuse(&format!("job/{name}"), DetailCode::Invalid, "cannot be given: each tick makes a new job");
        }
    }
    fields.finish()?;
    if let (Some(timing), Some(job)) = (timing, job) {
        let detail = json!({ "kind": job.kind, "queue": job.queue });
        caller.note(&api, "schedule.set", name.as_str(), detail).await?;
        let refused = |error| match error {
            Error::Invalid(invalid) => Problem::of_invalid_job("/job", &invalid),
            error => Problem::from(error).at_words(&["cron", "timezone", "every", "missed"]),
        };
        api.client()
            .set_schedule(&NewSchedule::new(name.clone(), timing, job).missed(missed))
            .await
            .map_err(refused)?;
    }
    shown(&api, &name).await
}

fn timing(fields: &mut Fields, api: &Api) -> Option<Timing> {
    let cron: Option<String> = fields.value("cron", "a cron expression");
    let timezone: Option<String> = fields.value("timezone", "the name of a time zone");
    let every: Option<String> = fields.value("every", "a duration such as 90s");
    match (cron, every) {
        (Some(cron), None) => Some(Timing::Cron { cron, timezone: timezone.unwrap_or_else(|| "UTC".to_owned()) }),
        (None, Some(every)) if timezone.is_none() => match (api.settings().read_duration)(&every) {
            Ok(every) => Some(Timing::Every(every)),
            Err(error) => {
                fields.refuse("every", DetailCode::Invalid, error);
                None
            }
        },
        (None, Some(_)) => {
            fields.refuse("timezone", DetailCode::Invalid, "belongs to cron");
            None
        }
        (Some(_), Some(_)) => {
            fields.refuse("every", DetailCode::Invalid, "cannot be given together with cron");
            None
        }
        (None, None) => {
            fields.refuse("cron", DetailCode::Required, "cron or every is required");
            None
        }
    }
}

/// Let no tick of a schedule make a job until the schedule is resumed
#[utoipa::path(post, path = "/v1/schedules/{name}/pause", tag = "queues", operation_id = "pause_schedule",
    params(("name" = String, Path)),
    responses((status = 200, description = "The schedule is paused", body = ScheduleView),
              (status = 404, description = "There is no such schedule", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn pause_schedule(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<ScheduleName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    caller.note(&api, "schedule.pause", name.as_str(), json!({})).await?;
    api.client().pause_schedule(&name).await?.ok_or_else(|| no_schedule(&name))?;
    shown(&api, &name).await
}

/// Resume a paused schedule from now on
#[utoipa::path(post, path = "/v1/schedules/{name}/resume", tag = "queues", operation_id = "resume_schedule",
    params(("name" = String, Path)),
    responses((status = 200, description = "The schedule is not paused", body = ScheduleView),
              (status = 404, description = "There is no such schedule", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn resume_schedule(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<ScheduleName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    caller.note(&api, "schedule.resume", name.as_str(), json!({})).await?;
    api.client().resume_schedule(&name).await?.ok_or_else(|| no_schedule(&name))?;
    shown(&api, &name).await
}

/// Enqueue the job of a schedule now
#[utoipa::path(post, path = "/v1/schedules/{name}/run", tag = "queues", operation_id = "run_schedule",
    params(("name" = String, Path)),
    responses((status = 200, description = "The job", body = ScheduledJob),
              (status = 404, description = "There is no such schedule", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn run_schedule(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<ScheduleName>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    caller.note(&api, "schedule.run", name.as_str(), json!({})).await?;
    let answer = api.client().run_schedule(&name).await?.ok_or_else(|| no_schedule(&name))?;
    Ok(ok(&ScheduledJob { id: answer.id.0, inserted: answer.inserted }))
}

/// Remove a schedule; the jobs that it has made stay
#[utoipa::path(delete, path = "/v1/schedules/{name}", tag = "queues", operation_id = "remove_schedule",
    params(("name" = String, Path)),
    responses((status = 200, description = "The schedule is removed", body = Removed),
              (status = 404, description = "There is no such schedule", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn remove_schedule(
    State(api): State<Api>,
    caller: Caller,
    Segment(name): Segment<ScheduleName>,
) -> Result<Response> {
    caller.note(&api, "schedule.remove", name.as_str(), json!({})).await?;
    match api.client().remove_schedule(&name).await? {
        true => Ok(ok(&Removed { removed: true })),
        false => Err(no_schedule(&name)),
    }
}
