//! look: why hints were not claimed.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, uuids, word},
};
use leasehold_core::JobId;
use leasehold_ports::JobStatus;
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// Why some hints were not claimed: the live ones among them.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(&self, ids: &[JobId]) -> Result<Vec<JobStatus>, Error> {
        let statement = sqlx::query(include_str!("../sql/look.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking at hints that were not claimed"))
    }
}

fn decode(row: &PgRow) -> Result<JobStatus, sqlx::Error> {
    Ok(JobStatus {
        id: job_id(row, "id")?,
        state: word(row, "state")?,
        kind: word(row, "kind")?,
        paused: row.try_get("paused")?,
        crashes: row.try_get("crashes")?,
        max_crashes: row.try_get("max_crashes")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
    })
}
