//! From rows to words, and from durations to what PostgreSQL can add.

use leasehold_core::{JobId, JobRecord, State, WorkerId};
use serde_json::value::RawValue;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use std::{str::FromStr, time::Duration};
use uuid::Uuid;

/// No delay is longer: PostgreSQL's times end, and a sum that passes their end is an error.
const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A column whose text is one of our words.
pub(crate) fn word<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| decode(column, error))
}

/// A column that holds a job's id.
pub(crate) fn job_id(row: &PgRow, column: &str) -> Result<JobId, sqlx::Error> {
    row.try_get::<Uuid, _>(column).map(JobId)
}

/// A column that may hold a worker's id.
pub(crate) fn worker(row: &PgRow, column: &str) -> Result<Option<WorkerId>, sqlx::Error> {
    row.try_get::<Option<Uuid>, _>(column).map(|id| id.map(WorkerId))
}

/// A column of JSON, selected as text, to the letter.
pub(crate) fn json(row: &PgRow, column: &str) -> Result<Option<Box<RawValue>>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(RawValue::from_string).transpose().map_err(|error| decode(column, error))
}

/// A column of JSON that is never NULL.
pub(crate) fn json_present(row: &PgRow, column: &str) -> Result<Box<RawValue>, sqlx::Error> {
    json(row, column)?.ok_or_else(|| decode(column, sqlx::error::UnexpectedNullError))
}

/// The uuids of ids, as they are sent.
pub(crate) fn uuids(ids: &[JobId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// A duration in whole ms, as PostgreSQL can add it to a time.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.min(DELAY_MAX).as_millis()).unwrap_or(i64::MAX)
}

/// A timeout in ms as a row has it.
pub(crate) fn timeout(row: &PgRow) -> Result<Option<Duration>, sqlx::Error> {
    let timeout_ms: Option<i32> = row.try_get("timeout_ms")?;
    Ok(timeout_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}

/// The columns of the view, as job.sql and jobs.sql select them.
pub(crate) struct Record(pub(crate) JobRecord);

impl FromRow<'_, PgRow> for Record {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(JobRecord {
            id: job_id(row, "id")?,
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            state: word::<State>(row, "state")?,
            priority: row.try_get("priority")?,
            payload: json_present(row, "payload")?,
            result: json(row, "result")?,
            last_error: row.try_get("last_error")?,
            attempt: row.try_get("attempt")?,
            max_attempts: row.try_get("max_attempts")?,
            crashes: row.try_get("crashes")?,
            max_crashes: row.try_get("max_crashes")?,
            epoch: row.try_get("epoch")?,
            worker: worker(row, "worker")?,
            run_at: row.try_get("run_at")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            lease_expires_at: row.try_get("lease_expires_at")?,
            cancel_requested_at: row.try_get("cancel_requested_at")?,
            timeout_ms: row.try_get("timeout_ms")?,
            unique_key: row.try_get("unique_key")?,
            limit_key: row.try_get("limit_key")?,
            trail: row.try_get::<Option<Json<_>>, _>("trail")?.map(|trail| trail.0).unwrap_or_default(),
        }))
    }
}

fn decode(column: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() }
}
