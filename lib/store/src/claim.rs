//! claim: hints become jobs that this worker holds on a lease.

use crate::{
    bounded::Bounded,
    connect::Store,
    error::{Error, code_of},
    row::{job_id, json_present, millis, timeout, uuids, word},
};
use leasehold_core::{ClaimedJob, Fence, JobId, Kind, WorkerId};
use sqlx::{Row, postgres::PgRow};
use std::{collections::HashSet, time::Duration};
use uuid::Uuid;

const DOING: &str = "claiming jobs";

/// The SQLSTATE of a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

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
    /// That a statement failed. If it was the second of two, what the first one claimed is held nonetheless, until it is
    /// found ([`Store::held`]) or its lease runs out.
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
        let claim = Claim { worker, kinds: kinds.names(), lease_ms: millis(lease) };
        let mut jobs = match claim.send(include_str!("../sql/claim.sql"), &ids, &self.bounded).await {
            Err(error) if code_of(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => Vec::new(),
            answer => answer.map_err(Error::sql(DOING))?,
        };
        if jobs.len() < ids.len() {
            let claimed: HashSet<Uuid> = jobs.iter().map(|job| job.fence.id.0).collect();
            ids.retain(|id| !claimed.contains(id));
            let careful = claim.send(include_str!("../sql/claim_careful.sql"), &ids, &self.bounded).await;
            jobs.extend(careful.map_err(Error::sql(DOING))?);
        }
        Ok(jobs)
    }
}

/// What both statements are told.
struct Claim<'a> {
    worker: WorkerId,
    kinds: Option<Vec<&'a str>>,
    lease_ms: i64,
}

impl Claim<'_> {
    async fn send(
        &self,
        statement: &'static str,
        ids: &[Uuid],
        bounded: &Bounded,
    ) -> Result<Vec<ClaimedJob>, sqlx::Error> {
        let query = sqlx::query(statement).bind(self.worker.0).bind(ids).bind(&self.kinds).bind(self.lease_ms);
        let rows = query.fetch_all(bounded).await?;
        rows.iter().map(|row| claimed(row, self.worker)).collect()
    }
}

/// What claims return.
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
