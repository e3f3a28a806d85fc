//! dead_errors: the errors of dead jobs, in groups.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, time},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind, QueueName};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

/// The maximum number of dead jobs to read, the newest first: less than a second of work.
const SEEN_MAX: i64 = 100_000;

/// Which dead jobs to group. All conditions must hold.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct DeadFilter {
    pub queue: Option<QueueName>,
    pub kind: Option<Kind>,
    /// Only jobs that died at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// The number of groups.
    pub limit: i64,
}

/// Dead jobs of one kind with nearly the same error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorGroup {
    /// The kind of the jobs.
    pub kind: String,
    /// The text, with `%` in place of numbers, UUIDs and line breaks: a pattern for
    /// [`BulkFilter::error_like`](leasehold_core::BulkFilter::error_like).
    pub error: String,
    /// The number of jobs.
    pub count: u64,
    /// When the first of them died.
    pub first_at: DateTime<Utc>,
    /// When the last of them died.
    pub last_at: DateTime<Utc>,
    /// The job that died last.
    pub sample: JobId,
}

/// Groups of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorGroups {
    /// The groups, the largest first.
    pub groups: Vec<ErrorGroup>,
    /// Whether only the newest dead jobs were read, because there are too many.
    pub more: bool,
}

impl Store {
    /// The errors of dead jobs, in groups of the same kind and nearly the same text.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn dead_errors(&self, filter: &DeadFilter) -> Result<ErrorGroups, Error> {
        const DOING: &str = "grouping the errors of dead jobs";
        let statement = sqlx::query(include_str!("../sql/dead_errors.sql"))
            .bind(filter.queue.as_ref().map(QueueName::as_str))
            .bind(filter.kind.as_ref().map(Kind::as_str))
            .bind(filter.since)
            .bind(SEEN_MAX)
            .bind(filter.limit);
        let rows = statement.fetch_all(&self.long_statements).await.map_err(Error::sql(DOING))?;
        let groups: Result<Vec<ErrorGroup>, sqlx::Error> = rows.iter().map(group).collect();
        let seen: Option<i64> = match rows.first() {
            Some(row) => Some(row.try_get("seen").map_err(Error::sql(DOING))?),
            None => None,
        };
        Ok(ErrorGroups { groups: groups.map_err(Error::sql(DOING))?, more: seen.is_some_and(|seen| seen >= SEEN_MAX) })
    }
}

fn group(row: &PgRow) -> Result<ErrorGroup, sqlx::Error> {
    let count: i64 = row.try_get("count")?;
    Ok(ErrorGroup {
        kind: row.try_get("kind")?,
        error: row.try_get("error")?,
        count: u64::try_from(count).unwrap_or_default(),
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        sample: job_id(row, "sample")?,
    })
}
