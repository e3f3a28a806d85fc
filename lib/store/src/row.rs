//! Decodes rows into Rust types, and encodes durations for PostgreSQL.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use leasehold_core::{
    DELAY_MAX, JobId, JobRecord, Progress, QueueName, Retry, State, TrailEntry, UniqueRule, WorkerId,
};
use serde_json::{Value, value::RawValue};
use sqlx::{
    Decode, FromRow, Postgres, Row, Type,
    error::BoxDynError,
    postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef},
};
use std::{str::FromStr, time::Duration};
use uuid::Uuid;

/// 2000-01-01, from which PostgreSQL counts, in µs since 1970.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A timestamp of a row with any value, also an infinite one. PostgreSQL knows years that chrono does not know, and
/// `infinity`; the driver's own decoding panics on these values. A time whose year does not fit in four digits becomes the
/// first or the last time that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) DateTime<Utc>);

impl Time {
    /// From µs since 2000, as PostgreSQL sends them.
    fn of_postgres(micros: i64) -> Self {
        let time = micros.checked_add(POSTGRES_EPOCH_US).and_then(DateTime::from_timestamp_micros);
        let fits = time.filter(|time| (1..=9999).contains(&time.year()));
        Self(fits.unwrap_or_else(|| if micros < 0 { first_time() } else { last_time() }))
    }
}

/// 0001-01-01T00:00:00Z
fn first_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH - TimeDelta::days(719_162)
}

/// 9999-12-31T23:59:59.999999Z
fn last_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(2_932_897) - TimeDelta::microseconds(1)
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Time {
    /// Only for binary answers, which all prepared statements give.
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Postgres>>::decode(value).map(Self::of_postgres)
    }
}

/// A position in a line with any value, also an infinite one. `infinity` becomes the first or the last time that chrono
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineAt(pub(crate) DateTime<Utc>);

impl LineAt {
    /// From µs since 2000, as PostgreSQL sends them.
    fn of_postgres(micros: i64) -> Self {
        let time = micros.checked_add(POSTGRES_EPOCH_US).and_then(DateTime::from_timestamp_micros);
        Self(time.unwrap_or(if micros < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC }))
    }

    /// Whether PostgreSQL can represent the position as a time.
    pub(crate) fn is_finite(self) -> bool {
        self.0 > DateTime::<Utc>::MIN_UTC && self.0 < DateTime::<Utc>::MAX_UTC
    }
}

impl Type<Postgres> for LineAt {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for LineAt {
    fn array_type_info() -> PgTypeInfo {
        <DateTime<Utc> as PgHasArrayType>::array_type_info()
    }
}

impl Decode<'_, Postgres> for LineAt {
    /// Only for binary answers, which all prepared statements give.
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Postgres>>::decode(value).map(Self::of_postgres)
    }
}

/// The position of a job in its line.
pub(crate) fn line_at(row: &PgRow) -> Result<DateTime<Utc>, sqlx::Error> {
    row.try_get::<LineAt, _>("line_at").map(|line_at| line_at.0)
}

/// The position of a job in its line, if the job is in the line.
pub(crate) fn line_at_if_any(row: &PgRow) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    row.try_get::<Option<LineAt>, _>("line_at").map(|line_at| line_at.map(|line_at| line_at.0))
}

/// A timestamp column.
pub(crate) fn time(row: &PgRow, column: &str) -> Result<DateTime<Utc>, sqlx::Error> {
    row.try_get::<Time, _>(column).map(|time| time.0)
}

/// A timestamp column that may be NULL.
pub(crate) fn time_if_any(row: &PgRow, column: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    row.try_get::<Option<Time>, _>(column).map(|time| time.map(|time| time.0))
}

/// The trail of a job. An entry that somebody wrote by hand in another format is shown unchanged.
fn trail(row: &PgRow) -> Result<Vec<TrailEntry>, sqlx::Error> {
    let entries = match row.try_get::<Option<Value>, _>("trail")? {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(other) => vec![other],
    };
    let at = time(row, "created_at")?;
    let read = |entry: Value| {
        let text = entry.to_string();
        serde_json::from_value(entry)
            .unwrap_or_else(|_| TrailEntry::new(at, "unreadable".to_owned(), 0, None, Some(text)))
    };
    Ok(entries.into_iter().map(read).collect())
}

/// A text column that holds one of our enum's values.
pub(crate) fn word<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| decode(column, error))
}

/// A column with a job's id.
pub(crate) fn job_id(row: &PgRow, column: &str) -> Result<JobId, sqlx::Error> {
    row.try_get::<Uuid, _>(column).map(JobId)
}

/// A column with a worker's id, which may be NULL.
pub(crate) fn worker(row: &PgRow, column: &str) -> Result<Option<WorkerId>, sqlx::Error> {
    row.try_get::<Option<Uuid>, _>(column).map(|id| id.map(WorkerId))
}

/// A JSON column, selected as text, byte for byte.
pub(crate) fn json(row: &PgRow, column: &str) -> Result<Option<Box<RawValue>>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(RawValue::from_string).transpose().map_err(|error| decode(column, error))
}

/// A JSON column that is never NULL.
pub(crate) fn json_present(row: &PgRow, column: &str) -> Result<Box<RawValue>, sqlx::Error> {
    json(row, column)?.ok_or_else(|| decode(column, sqlx::error::UnexpectedNullError))
}

/// The uuids of job ids, for binding.
pub(crate) fn uuids(ids: &[JobId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// A duration in whole ms, small enough for PostgreSQL to add it to a time.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.min(DELAY_MAX).as_millis()).unwrap_or(i64::MAX)
}

/// A timeout column in ms.
pub(crate) fn timeout(row: &PgRow) -> Result<Option<Duration>, sqlx::Error> {
    let timeout_ms: Option<i32> = row.try_get("timeout_ms")?;
    Ok(timeout_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}

/// The field `retry` of a job. A value that a person wrote by hand in another form is ignored.
pub(crate) fn retry(row: &PgRow) -> Result<Option<Retry>, sqlx::Error> {
    let text: Option<&str> = row.try_get("retry")?;
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

/// The progress of the last run, where the statement reads it. A value that a person wrote by hand in another form is
/// ignored.
fn progress(row: &PgRow) -> Option<Progress> {
    let text = row.try_get::<Option<&str>, _>("progress").unwrap_or_default();
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// What happens to the unique key when the job begins.
fn unique_rule(row: &PgRow) -> Result<Option<UniqueRule>, sqlx::Error> {
    let text: Option<&str> = row.try_get("unique_rule")?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The columns of the view `leasehold.jobs`, as job.sql and jobs.sql select them.
pub(crate) struct Record(pub(crate) JobRecord);

impl FromRow<'_, PgRow> for Record {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (kind, payload) = (row.try_get("kind")?, json_present(row, "payload")?);
        let mut job =
            JobRecord::new(job_id(row, "id")?, kind, word::<State>(row, "state")?, payload, time(row, "created_at")?);
        job.queue = row.try_get("queue")?;
        job.priority = row.try_get("priority")?;
        job.result = json(row, "result")?;
        job.last_error = row.try_get("last_error")?;
        job.attempt = row.try_get("attempt")?;
        job.max_attempts = row.try_get("max_attempts")?;
        job.crashes = row.try_get("crashes")?;
        job.max_crashes = row.try_get("max_crashes")?;
        job.epoch = row.try_get("epoch")?;
        job.worker = worker(row, "worker")?;
        job.run_at = time(row, "run_at")?;
        job.started_at = time_if_any(row, "started_at")?;
        job.finished_at = time_if_any(row, "finished_at")?;
        job.lease_expires_at = time_if_any(row, "lease_expires_at")?;
        job.cancel_requested_at = time_if_any(row, "cancel_requested_at")?;
        job.timeout_ms = row.try_get("timeout_ms")?;
        job.unique_key = row.try_get("unique_key")?;
        job.limit_key = row.try_get("limit_key")?;
        job.limit_keys = row.try_get("limit_keys")?;
        job.progress = progress(row);
        job.webhook = row.try_get("webhook").unwrap_or_default();
        // An object without fields is no retry policy: a job with a trace or a webhook has such a value.
        job.retry = retry(row)?.filter(|retry| *retry != Retry::default());
        job.retry_until = time_if_any(row, "retry_until")?;
        job.expires_at = time_if_any(row, "expires_at")?;
        job.unique_rule = unique_rule(row)?;
        job.batch = row.try_get("batch")?;
        job.fair_key = row.try_get("fair_key")?;
        job.trail = trail(row)?;
        Ok(Self(job))
    }
}

/// A column that cannot be decoded.
pub(crate) fn decode(column: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() }
}

/// The lane in which a new job was parked.
pub(crate) fn lane(row: &PgRow) -> Result<Option<(QueueName, String)>, sqlx::Error> {
    let key: Option<String> = row.try_get("parked_by")?;
    key.map(|key| Ok((word(row, "queue")?, key))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_postgresql_can_be_decoded() {
        for (micros, text) in [
            (0, "2000-01-01T00:00:00+00:00"),
            (-POSTGRES_EPOCH_US, "1970-01-01T00:00:00+00:00"),
            (i64::MIN, "0001-01-01T00:00:00+00:00"),
            (i64::MIN + 1, "0001-01-01T00:00:00+00:00"),
            (i64::MAX, "9999-12-31T23:59:59.999999+00:00"),
            (i64::MAX - 1, "9999-12-31T23:59:59.999999+00:00"),
            (252_455_615_999_999_999, "9999-12-31T23:59:59.999999+00:00"),
            (-63_082_281_600_000_000, "0001-01-01T00:00:00+00:00"),
            // 290000-01-01, outside the range of chrono.
            (9_088_289_000_000_000_000, "9999-12-31T23:59:59.999999+00:00"),
        ] {
            assert_eq!(Time::of_postgres(micros).0.to_rfc3339(), text, "{micros}");
        }
    }
}
