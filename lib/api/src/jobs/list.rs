//! `GET /v1/jobs`.

use super::{cursor, words::JobView};
use crate::{
    answer::ok,
    api::Api,
    errors::{DetailCode, ErrorBody, Result},
    extract::Query,
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, JobRecord};
use leasehold_store::JobFilter;
use serde::Serialize;
use utoipa::ToSchema;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 1_000;

/// A page of jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobPage {
    #[schema(value_type = Vec<JobView>)]
    jobs: Vec<JobRecord>,
    /// The parameter `cursor` of the next page; `null` on the last page.
    next: Option<String>,
}

/// List jobs, the newest first by the time of their enqueue
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("queue" = Option<String>, Query, description = "Only jobs of this queue"),
        ("kind" = Option<String>, Query, description = "Only jobs of this kind"),
        ("state" = Option<String>, Query, description = "Only jobs in this state"),
        ("batch" = Option<String>, Query, description = "Only jobs of this batch"),
        ("before" = Option<DateTime<Utc>>, Query, description = "Only jobs that were enqueued before this time"),
        ("after" = Option<DateTime<Utc>>, Query, description = "Only jobs that were enqueued at this time or later"),
        ("cursor" = Option<String>, Query, description = "The value `next` of the page before, with the same other parameters"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "The most jobs of the page; 50 by default"),
    ),
    responses(
        (status = 200, description = "A page", body = JobPage),
        (status = 422, description = "A parameter is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn list(State(api): State<Api>, mut query: Query) -> Result<Response> {
    let bound_to = query.bound_to(&["queue", "kind", "state", "batch", "before", "after"]);
    let before: Option<DateTime<Utc>> = query.parsed("before", "a time such as 2030-01-31T08:00:00Z");
    let after: Option<DateTime<Utc>> = query.parsed("after", "a time such as 2030-01-31T08:00:00Z");
    let cursor: Option<String> = query.parsed("cursor", "a cursor");
    let behind = cursor.as_ref().and_then(|cursor| cursor::read(cursor, &bound_to));
    if cursor.is_some() && behind.is_none() {
        query.refuse("cursor", DetailCode::Invalid, "is no cursor of a list with these parameters");
    }
    let filter = JobFilter {
        queue: query.parsed("queue", "the name of a queue"),
        kind: query.parsed("kind", "the name of a kind"),
        state: query.parsed("state", "a state"),
        batch: query.parsed("batch", "the name of a batch"),
        before: behind.or_else(|| before.map(first_id_at)),
        limit: i64::try_from(query.number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)).unwrap_or(1),
    };
    query.finish()?;
    let mut jobs = api.store().jobs(&filter).await?;
    let is_full = i64::try_from(jobs.len()) == Ok(filter.limit);
    let read = jobs.len();
    if let Some(after) = after {
        jobs.retain(|job| job.created_at >= after);
    }
    let more = is_full && jobs.len() == read;
    let next = jobs.last().filter(|_| more).map(|last| cursor::write(last.id, &bound_to));
    Ok(ok(&JobPage { jobs, next }))
}

/// The least id of a job that was enqueued at this time.
fn first_id_at(time: DateTime<Utc>) -> JobId {
    let ms = u64::try_from(time.timestamp_millis()).unwrap_or_default();
    JobId(uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_first_id_of_a_time_is_below_all_others() {
        let time = DateTime::from_timestamp_millis(1_900_000_000_000).expect("a time");
        let first = first_id_at(time);
        let (seconds, nanos) = first.0.get_timestamp().expect("a time").to_unix();
        assert_eq!((seconds, nanos), (1_900_000_000, 0));
        assert!(first.0 < Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_900_000_000, 0)));
    }
}
