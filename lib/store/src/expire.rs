//! expire: leases that ran out.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, QueueName, State, WorkerId};
use sqlx::{Row, postgres::PgRow};

/// One lease that ran out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Expired {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// What became of the job: queued, dead or cancelled.
    pub state: State,
}

impl Store {
    /// Leases that ran out: all of them, or those that did at or after `since`.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        let statement = sqlx::query(include_str!("../sql/expire.sql")).bind(limit).bind(since);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("expiring leases"))
    }
}

fn decode(row: &PgRow) -> Result<Expired, sqlx::Error> {
    Ok(Expired {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        priority: row.try_get("priority")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
        state: word(row, "state")?,
    })
}
