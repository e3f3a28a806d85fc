//! `/v1/webhooks/{id}/deliveries`, `/replay` and `/test`: lists deliveries, and sends them again.

use super::{
    endpoints::existing,
    words::{AttemptPage, ReplayWords, ReplayedWords, TestDelivery, states},
};
use crate::{
    answer::{json, ok},
    api::Api,
    auth::Caller,
    errors::{DetailCode, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Query, Segment},
    jobs::cursor,
};
use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use leasehold_client::{Replay, ReplayPlace};
use leasehold_core::{JobId, Kind, State as JobState};
use serde_json::json as object;
use uuid::Uuid;

const SHOWN: u64 = 50;
const SHOWN_MAX: u64 = 500;
const REPLAYED: u64 = 1_000;
const REPLAYED_MAX: u64 = 10_000;

/// List the attempts to send deliveries, the newest first
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "list_deliveries",
    params(("id" = String, Path),
           ("cursor" = Option<String>, Query, description = "The value `next` of the page before"),
           ("limit" = Option<u64>, Query, minimum = 1, maximum = 500, description = "The most attempts; 50 by default")),
    responses((status = 200, description = "A page", body = AttemptPage),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = 422, description = "A parameter is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn deliveries(
    State(api): State<Api>,
    Segment(id): Segment<Kind>,
    mut query: Query,
) -> Result<Response> {
    let limit = query.number("limit", SHOWN, 1, SHOWN_MAX);
    let bound_to = format!("webhook={id}");
    let cursor: Option<String> = query.parsed("cursor", "a cursor");
    let before = cursor.as_ref().and_then(|cursor| cursor::read(cursor, &bound_to));
    if cursor.is_some() && before.is_none() {
        query.refuse("cursor", DetailCode::Invalid, "is no cursor of the deliveries of this webhook");
    }
    query.finish()?;
    existing(&api, &id).await?;
    let limit = i64::try_from(limit).unwrap_or(1);
    let deliveries = api.client().webhook_attempts(&id, before.map(|id| id.0), limit).await?;
    let is_full = i64::try_from(deliveries.len()) == Ok(limit);
    let next = deliveries.last().filter(|_| is_full).map(|last| cursor::write(JobId(last.id), &bound_to));
    Ok(ok(&AttemptPage { deliveries, next }))
}

/// Send deliveries again, each with the same id: one of them, or those that were tried within a time
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "webhooks", operation_id = "replay_deliveries",
    params(("id" = String, Path)), request_body = ReplayWords,
    responses((status = 200, description = "What is sent again", body = ReplayedWords),
              (status = 404, description = "There is no such webhook, or no such delivery of it", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<Kind>,
    Body(mut fields): Body,
) -> Result<Response> {
    let delivery: Option<Uuid> = fields.value("delivery", "the id of a delivery");
    if let Some(delivery) = delivery {
        // The other fields belong to a time: each of them is refused.
        fields.finish()?;
        existing(&api, &id).await?;
        caller.note(&api, "webhook.replay", id.as_str(), object!({ "delivery": delivery })).await?;
        let is_revived = api.client().replay_delivery(&id, JobId(delivery)).await?;
        let is_revived = is_revived.ok_or_else(|| Problem::no_such("delivery", &delivery))?;
        return Ok(ok(&ReplayedWords { replayed: usize::from(is_revived), next: None }));
    }
    let since: Option<DateTime<Utc>> =
        fields.required("since", "a time such as 2030-01-31T08:00:00Z, unless delivery is given");
    let until = fields.value("until", "a time such as 2030-01-31T08:00:00Z").unwrap_or_else(Utc::now);
    let states = states(&mut fields);
    let after: Option<ReplayPlace> = fields.parsed("after", "the value next of an answer");
    let limit = fields.number("limit", 1..=REPLAYED_MAX).unwrap_or(REPLAYED);
    fields.finish()?;
    existing(&api, &id).await?;
    let replay = Replay {
        since: since.unwrap_or(until),
        until,
        states: states.unwrap_or_else(|| vec![JobState::Dead]),
        after,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let detail = object!({ "since": replay.since, "until": replay.until, "states": replay.states });
    caller.note(&api, "webhook.replay", id.as_str(), detail).await?;
    let done = api.client().replay_webhook(&id, &replay).await?;
    Ok(ok(&ReplayedWords { replayed: done.replayed, next: done.next.map(|place| place.to_string()) }))
}

/// Send a message that says only that it is a test. It is tried once; the log has the answer
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook", params(("id" = String, Path)),
    responses((status = 202, description = "The message is in the line", body = TestDelivery),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn test(
    State(api): State<Api>,
    Segment(id): Segment<Kind>,
    OptionalBody(fields): OptionalBody,
) -> Result<Response> {
    fields.finish()?;
    existing(&api, &id).await?;
    Ok(json(StatusCode::ACCEPTED, &TestDelivery { delivery: api.client().test_webhook(&id).await?.0 }))
}
