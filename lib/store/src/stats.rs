//! stats: how many jobs wait and run in each queue.

use crate::{connect::Store, error::Error};
use serde::Serialize;
use sqlx::FromRow;

/// The waiting and running jobs of a queue, counted in PostgreSQL.
#[derive(Clone, Debug, Serialize, FromRow)]
#[expect(missing_docs, reason = "columns")]
pub struct QueueStats {
    pub queue: String,
    pub paused: bool,
    pub blocked: i64,
    pub scheduled: i64,
    pub queued: i64,
    pub running: i64,
    /// For how many seconds the oldest job in the line has been due.
    pub oldest_s: Option<f64>,
    /// Jobs that finished within the last minute, by final state.
    pub succeeded_last_minute: i64,
    pub dead_last_minute: i64,
    pub cancelled_last_minute: i64,
}

impl Store {
    /// Counts for each queue that has a job or a row. Reads the index entries of all waiting jobs: about 100 ms for a
    /// million jobs. So this is for operators and gauges, and must not be called for each job.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn stats(&self) -> Result<Vec<QueueStats>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/stats.sql"));
        statement.fetch_all(&self.long_statements).await.map_err(Error::sql("counting jobs"))
    }
}
