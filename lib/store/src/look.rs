//! look: why hints were not claimed.

use crate::{
    claim::Kinds,
    connect::Store,
    error::Error,
    row::{job_id, uuids, word},
    statement::statement,
};
use leasehold_core::{Claimability, JobId, Kind, State};
use sqlx::{Row, postgres::PgRow};

/// Why a hint was not claimed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    pub kind: Kind,
    /// Whether a worker of the kinds that were given may claim the job. Never `Finished`: the job is live.
    pub claimability: Claimability,
    /// Of a running job; below zero when the lease ran out and nobody has expired it yet.
    pub lease_ms_left: Option<i64>,
}

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
        claimability: word(row, "claimability")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
    })
}
