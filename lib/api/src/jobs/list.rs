//! `GET /v1/jobs`.

use super::{cursor, words::JobView};
use crate::{
    answer::ok,
    api::Api,
    auth::Caller,
    errors::{DetailCode, ErrorBody, Result},
    extract::Query,
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use leasehold_core::{Access, JobId, JobRecord};
use leasehold_store::JobFilter;
use serde::Serialize;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 1_000;
const TEXT_MAX_BYTES: usize = 200;
/// The most bytes of the jobs of a page, which has at least one job.
const PAGE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many jobs one statement reads: at first, while their size is not known, and at most.
const PART_AT_FIRST: usize = 8;
const PART_MAX: usize = 1_000;
/// How many jobs a page with a search text reads, and for how long.
const SEEN_MAX: usize = 10_000;
const SEARCH_MAX: Duration = Duration::from_secs(2);

/// A page of jobs, the newest first. A page has up to 4 MiB of jobs, and at least one.
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
        ("q" = Option<String>, Query, min_length = 1, max_length = 200, description = "Only jobs that have this text in their id, a name, a \
            key, their payload or their last error, in capital or small letters. A page looks at up to 10,000 jobs and may be short or empty; \
            `next` goes on"),
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
pub(crate) async fn list(State(api): State<Api>, caller: Caller, mut query: Query) -> Result<Response> {
    let bound_to = query.bound_to(&["queue", "kind", "state", "batch", "before", "after", "q"]);
    let before: Option<DateTime<Utc>> = query.parsed("before", "a time such as 2030-01-31T08:00:00Z");
    let after: Option<DateTime<Utc>> = query.parsed("after", "a time such as 2030-01-31T08:00:00Z");
    let cursor: Option<String> = query.parsed("cursor", "a cursor");
    let behind = cursor.as_ref().and_then(|cursor| cursor::read(cursor, &bound_to));
    if cursor.is_some() && behind.is_none() {
        query.refuse("cursor", DetailCode::Invalid, "is no cursor of a list with these parameters");
    }
    let text: Option<String> = query.parsed("q", "a text");
    if text.as_ref().is_some_and(|text| !(1..=TEXT_MAX_BYTES).contains(&text.len())) {
        query.refuse("q", DetailCode::Invalid, format!("must have 1 to {TEXT_MAX_BYTES} bytes"));
    }
    let filter = JobFilter {
        queue: query.parsed("queue", "the name of a queue"),
        kind: query.parsed("kind", "the name of a kind"),
        state: query.parsed("state", "a state"),
        batch: query.parsed("batch", "the name of a batch"),
        before: behind.or_else(|| before.map(first_id_at)),
        limit: 0,
    };
    let limit = query.number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX);
    query.finish()?;
    match &filter.queue {
        Some(queue) => caller.needs(Access::Read, queue.as_str())?,
        None => caller.needs_all(Access::Read)?,
    }
    let wanted =
        Wanted { after, text: text.map(|text| text.to_lowercase()), limit: usize::try_from(limit).unwrap_or(1) };
    let (jobs, last) = page(&api, filter, &wanted).await?;
    let next = last.map(|last| cursor::write(last, &bound_to));
    Ok(ok(&JobPage { jobs, next }))
}

/// The conditions of a page in addition to the filter of the store.
struct Wanted {
    after: Option<DateTime<Utc>>,
    /// In small letters.
    text: Option<String>,
    limit: usize,
}

impl Wanted {
    fn is_met(&self, job: &JobRecord) -> bool {
        let Some(text) = &self.text else { return true };
        let has = |part: &str| part.to_lowercase().contains(text);
        let keys = [&job.unique_key, &job.batch, &job.fair_key, &job.last_error];
        has(&job.id.to_string())
            || has(&job.kind)
            || has(&job.queue)
            || keys.into_iter().flatten().any(|key| has(key))
            || job.limit_keys.iter().flatten().any(|key| has(key))
            || has(job.payload.get())
    }
}

/// Reads jobs in parts until the page has its maximum of jobs or bytes, or until the maximum number of jobs was read. Returns the
/// job behind which the next page begins; `None`: there is none.
async fn page(api: &Api, mut filter: JobFilter, wanted: &Wanted) -> Result<(Vec<JobRecord>, Option<JobId>)> {
    let (mut found, mut bytes, mut seen, mut part) = (Vec::new(), 0, 0, PART_AT_FIRST);
    let begun = Instant::now();
    loop {
        // Without a text, every job that is read is shown.
        let most = if wanted.text.is_some() { PART_MAX } else { wanted.limit - found.len() };
        filter.limit = i64::try_from(part.min(most)).unwrap_or(1);
        let jobs = api.store().jobs(&filter).await?;
        let is_last = i64::try_from(jobs.len()).unwrap_or(0) < filter.limit;
        let mut part_bytes = 0;
        for job in jobs {
            if wanted.after.is_some_and(|after| job.created_at < after) {
                return Ok((found, None));
            }
            let size = size_of(&job);
            part_bytes += size;
            let is_met = wanted.is_met(&job);
            if is_met && !found.is_empty() && bytes + size > PAGE_MAX_BYTES {
                return Ok((found, filter.before));
            }
            filter.before = Some(job.id);
            seen += 1;
            if is_met {
                bytes += size;
                found.push(job);
                if found.len() == wanted.limit {
                    return Ok((found, filter.before));
                }
            }
        }
        if is_last {
            return Ok((found, None));
        }
        if seen >= SEEN_MAX || begun.elapsed() > SEARCH_MAX {
            return Ok((found, filter.before));
        }
        // The number of jobs of this size that fit into one page.
        let usual = part_bytes / usize::try_from(filter.limit).unwrap_or(1).max(1);
        part = (PAGE_MAX_BYTES / usual.max(1)).clamp(PART_AT_FIRST, PART_MAX);
    }
}

/// About how many bytes a job has in an answer.
fn size_of(job: &JobRecord) -> usize {
    const OTHERS: usize = 1_000;
    let result = job.result.as_ref().map_or(0, |result| result.get().len());
    OTHERS + job.payload.get().len() + result + job.last_error.as_ref().map_or(0, String::len)
}

/// The lowest id of a job that was enqueued at this time.
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
