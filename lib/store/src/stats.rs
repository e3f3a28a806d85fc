//! stats: what waits and runs in each queue.

use crate::{connect::Store, error::Error};
use serde::Serialize;
use sqlx::FromRow;

/// What waits and runs in a queue, counted in PostgreSQL.
#[derive(Clone, Debug, Serialize, FromRow)]
#[expect(missing_docs, reason = "columns")]
pub struct QueueStats {
    pub queue: String,
    pub paused: bool,
    pub blocked: i64,
    pub scheduled: i64,
    pub queued: i64,
    pub running: i64,
    /// Seconds that the oldest job in the line has been due.
    pub oldest_s: Option<f64>,
    /// Finished within the last minute, by final state.
    pub succeeded_last_minute: i64,
    pub dead_last_minute: i64,
    pub cancelled_last_minute: i64,
}

impl Store {
    /// Counts per queue, of every queue that has a job or a row. Walks the index entries of all waiting jobs: some
    /// 100 ms for a million of them, so it is for people and gauges, not for the path of a job.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn stats(&self) -> Result<Vec<QueueStats>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/stats.sql"));
        statement.fetch_all(&self.patient).await.map_err(Error::sql("counting jobs"))
    }
}
