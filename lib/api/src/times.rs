//! How long the jobs of a queue waited and ran in the last minutes.

use crate::{
    answer::ok,
    api::Api,
    errors::{ErrorBody, Result},
    extract::{Query, Segment},
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use leasehold_store::{MINUTES_KEPT, QueueTimes};
use serde::Serialize;
use utoipa::ToSchema;

const MINUTES_SHOWN: u64 = 60;

/// The middle and the end of a distribution, in ms. Each value is within 5 % of the true one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct QuantilesView {
    /// Half of the values are up to this one.
    p50: f64,
    p95: f64,
    p99: f64,
}

/// The jobs of a kind that have ended.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct TimesView {
    /// The beginning of the minute, if each minute is shown.
    #[schema(nullable = false)]
    minute: Option<DateTime<Utc>>,
    queue: String,
    kind: String,
    succeeded: i64,
    dead: i64,
    cancelled: i64,
    /// How long the jobs waited from when they were due until their last attempt began; `null` if none of them has begun.
    wait_ms: Option<QuantilesView>,
    /// How long their last attempts ran; `null` if none of them has begun.
    run_ms: Option<QuantilesView>,
}

/// The kinds of a queue of which jobs have ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimesList {
    #[schema(value_type = Vec<TimesView>)]
    times: Vec<QueueTimes>,
}

/// Show how many jobs of a queue ended in the last minutes, and how long they waited and ran
///
/// A minute is shown half a minute after its end, and kept for a day.
#[utoipa::path(get, path = "/v1/queues/{queue}/times", tag = "queues", operation_id = "queue_times",
    params(
        ("queue" = String, Path),
        ("minutes" = Option<u64>, Query, minimum = 1, maximum = 1440, description = "How many minutes; 60 by default"),
        ("each_minute" = Option<bool>, Query, description = "Whether to show each minute by itself"),
    ),
    responses((status = 200, description = "The times by kind", body = TimesList),
              (status = 422, description = "A parameter is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn times(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    mut query: Query,
) -> Result<Response> {
    let minutes = query.number("minutes", MINUTES_SHOWN, 1, MINUTES_KEPT.into());
    let each = query.parsed::<bool>("each_minute", "true or false").unwrap_or_default();
    query.finish()?;
    let minutes = u32::try_from(minutes).unwrap_or(MINUTES_KEPT);
    Ok(ok(&TimesList { times: api.store().queue_times(Some(&queue), minutes, each).await? }))
}
