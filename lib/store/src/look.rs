//! look: why hints were not claimed.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, uuids, word},
};
use leasehold_core::{JobId, Kind, State};
use sqlx::{Row, postgres::PgRow};

/// Why a hint was not claimed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    pub kind: Kind,
    pub paused: bool,
    /// How often its lease has run out.
    pub crashes: i16,
    /// How often that may happen.
    pub max_crashes: i16,
    /// Of a running job; below zero when the lease ran out and nobody has expired it yet.
    pub lease_ms_left: Option<i64>,
}

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
