//! leases: which runs hold a lease, for whoever compares them with what Redis knows.

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
    /// Leases of running jobs, those that run out first first: all of them, or those that do so at or after `since`.
    ///
    /// # Errors
    /// That the statement failed.
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
