//! claim: hints become jobs that this worker holds on a lease.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, json_present, millis, timeout, uuids, word},
};
use leasehold_core::{ClaimedJob, Fence, JobId, Kind, WorkerId};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

/// The kinds that a worker has handlers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind.
    All,
    /// These.
    Only(Vec<Kind>),
}

impl Kinds {
    /// As statements take them: NULL is every kind.
    pub(crate) fn names(&self) -> Option<Vec<&str>> {
        match self {
            Self::All => None,
            Self::Only(kinds) => Some(kinds.iter().map(Kind::as_str).collect()),
        }
    }
}

impl Store {
    /// Claims what of `ids` is queued, of a known kind and of no paused queue.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        // The order in which every statement locks rows: two that meet wait for each other in one direction only.
        let mut ids = uuids(ids);
        ids.sort_unstable();
        ids.dedup();
        let statement = sqlx::query(include_str!("../sql/claim.sql"))
            .bind(worker.0)
            .bind(ids)
            .bind(kinds.names())
            .bind(millis(lease));
        let rows = statement.try_map(|row| claimed(&row, worker)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("claiming jobs"))
    }
}

/// What both claims return.
pub(crate) fn claimed(row: &PgRow, worker: WorkerId) -> Result<ClaimedJob, sqlx::Error> {
    Ok(ClaimedJob {
        fence: Fence { id: job_id(row, "id")?, epoch: row.try_get("epoch")?, worker },
        queue: word(row, "queue")?,
        kind: word(row, "kind")?,
        payload: json_present(row, "payload")?,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        crashes: row.try_get("crashes")?,
        timeout: timeout(row)?,
    })
}
