//! leases: all runs that hold a lease, for comparison with the leases in Redis. held: the runs of one worker.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::WorkerId;
use leasehold_ports::Lease;
use sqlx::{Row, postgres::PgRow};

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

    /// Every run that this worker holds. The worker may not know of some of these runs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error> {
        let statement = sqlx::query(include_str!("../sql/held.sql")).bind(worker.0);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading the runs of a worker"))
    }
}

fn decode(row: &PgRow) -> Result<Lease, sqlx::Error> {
    Ok(Lease {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
    })
}
