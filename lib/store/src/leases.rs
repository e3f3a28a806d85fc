//! leases: which runs hold a lease, for comparison with the leases in Redis.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, Fence, JobId, QueueName, WorkerId};
use sqlx::{Row, postgres::PgRow};

/// A running job and its lease.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Lease {
    pub id: JobId,
    pub queue: QueueName,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// The rest of the lease by the database's clock. Negative when the lease ran out and `expire` has not ended the
    /// run yet.
    pub lease_ms_left: i64,
}

impl Lease {
    /// The fence of the run.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        Fence { id: self.id, epoch: self.epoch, worker: self.worker }
    }
}

impl Store {
    /// Leases of running jobs, ordered by their end: all of them, or only those that end at or after `since`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Lease>, Error> {
        let statement = sqlx::query(include_str!("../sql/leases.sql")).bind(limit).bind(since);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading the leases"))
    }
}

pub(crate) fn decode(row: &PgRow) -> Result<Lease, sqlx::Error> {
    Ok(Lease {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
    })
}
