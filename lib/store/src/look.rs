//! look: why hints were not claimed.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, line_at, uuids, word},
    statement::statement,
};
use leasehold_core::JobId;
use leasehold_ports::{JobStatus, Kinds};
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// Why some hints were not claimed by a worker of these kinds: the live jobs among them.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error> {
        let statement = sqlx::query(statement!("look")).bind(uuids(ids)).bind(kinds.names());
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking at hints that were not claimed"))
    }
}

fn decode(row: &PgRow) -> Result<JobStatus, sqlx::Error> {
    Ok(JobStatus {
        id: job_id(row, "id")?,
        state: word(row, "state")?,
        kind: word(row, "kind")?,
        line_at: line_at(row)?,
        claimability: word(row, "claimability")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
    })
}
