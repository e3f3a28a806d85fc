//! claim: hints become jobs that this worker holds on a lease.

use crate::{
    bounded::Bounded,
    connect::Store,
    error::{Error, code_of},
    row::{job_id, json_present, line_at, millis, timeout, uuids, word},
    statement::statement,
};
use leasehold_core::{ClaimedJob, Fence, JobId, WorkerId};
use leasehold_ports::Kinds;
use sqlx::{Row, postgres::PgRow};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

const DOING: &str = "claiming jobs";

/// The SQLSTATE of a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl Store {
    /// Claims what of `ids` is queued, of a known kind and of no paused queue; the jobs in the order of `ids`. What another
    /// transaction has locked is not waited for any longer than a moment, and holds up no other job.
    ///
    /// # Errors
    /// A statement failed. If it was the second of two, what the first one claimed is held nonetheless, until it is
    /// found ([`Store::held`]) or its lease runs out.
    pub async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let mut left = sorted(ids);
        let claim = Claim { worker, kinds: kinds.names(), lease_ms: millis(lease) };
        let mut jobs = Vec::new();
        if !self.locks_at_claims.found_recently() {
            match claim.send(&left, &self.bounded).await {
                Ok(claimed) => jobs = claimed,
                Err(error) if is_locked(&error) => self.locks_at_claims.found(),
                Err(error) => return Err(Error::sql(DOING)(error)),
            }
            if jobs.len() < left.len() {
                let claimed: HashSet<Uuid> = jobs.iter().map(|job| job.fence.id.0).collect();
                left.retain(|id| !claimed.contains(id));
            } else {
                left.clear();
            }
        }
        if !left.is_empty() {
            jobs.extend(claim.send_careful(&left, left.len(), &self.bounded).await.map_err(Error::sql(DOING))?);
        }
        Ok(in_order_of(ids, jobs))
    }

    /// The same for hints that were refused before because their rows were locked, or because too many jobs that crash
    /// their workers ran already: up to `limit` jobs, and no wait for any lock.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn claim_careful(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let claim = Claim { worker, kinds: kinds.names(), lease_ms: millis(lease) };
        let jobs = claim.send_careful(&sorted(ids), limit, &self.bounded).await.map_err(Error::sql(DOING))?;
        Ok(in_order_of(ids, jobs))
    }
}

/// The order in which every statement locks rows: two that meet wait for each other in one direction only.
fn sorted(ids: &[JobId]) -> Vec<Uuid> {
    let mut ids = uuids(ids);
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The server answers in the order of its table; jobs start in the order of the line, which is that of their hints.
fn in_order_of(ids: &[JobId], mut jobs: Vec<ClaimedJob>) -> Vec<ClaimedJob> {
    if jobs.len() > 1 {
        let places: HashMap<JobId, usize> = ids.iter().enumerate().rev().map(|(place, id)| (*id, place)).collect();
        jobs.sort_by_key(|job| places.get(&job.fence.id).copied());
    }
    jobs
}

/// Whether the statement gave up because another transaction held a lock.
pub(crate) fn is_locked(error: &sqlx::Error) -> bool {
    code_of(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// What both statements are told.
struct Claim<'a> {
    worker: WorkerId,
    kinds: Option<Vec<&'a str>>,
    lease_ms: i64,
}

impl Claim<'_> {
    async fn send(&self, ids: &[Uuid], bounded: &Bounded) -> Result<Vec<ClaimedJob>, sqlx::Error> {
        let query =
            sqlx::query(statement!("claim")).bind(self.worker.0).bind(ids).bind(&self.kinds).bind(self.lease_ms);
        self.decode(&query.fetch_all(bounded).await?)
    }

    async fn send_careful(
        &self,
        ids: &[Uuid],
        limit: usize,
        bounded: &Bounded,
    ) -> Result<Vec<ClaimedJob>, sqlx::Error> {
        let query = sqlx::query(statement!("claim_careful"))
            .bind(self.worker.0)
            .bind(ids)
            .bind(&self.kinds)
            .bind(self.lease_ms);
        self.decode(&query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(bounded).await?)
    }

    fn decode(&self, rows: &[PgRow]) -> Result<Vec<ClaimedJob>, sqlx::Error> {
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
        line_at: line_at(row)?,
    })
}
