//! claim: turns hints into jobs that this worker holds on a lease. claim_line: claims from the front of the line, if there are no
//! hints. look: finds out why hints were not claimed.

use crate::{
    bounded::Bounded,
    connect::Store,
    error::{Error, code_of},
    row::{decode, job_id, json_present, line_at, millis, time_if_any, timeout, uuids, word},
    statement::statement,
};
use leasehold_core::{Claimability, ClaimedJob, Fence, JobId, QueueName, Retry, WorkerId};
use leasehold_ports::{JobStatus, Kinds};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{Row, postgres::PgRow};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

const DOING: &str = "claiming jobs";

/// The most hints that one claim of jobs with limit keys tries: each key is locked, and a server has room for some thousand
/// locks.
const LIMITED_AT_ONCE: usize = 128;

/// A run may take a token of a limit key that comes within this time, and begins when the token comes. This is the duration of a
/// claim on a busy machine, so that a limit with a burst of one start still reaches its full rate. A slot waits no longer than
/// this.
pub(crate) const TOKEN_AHEAD: Duration = Duration::from_millis(20);

/// The SQLSTATE of a lock that was not free within the lock timeout.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl Store {
    /// Claims the jobs among `ids` that are queued in this queue, whose kind is served, unless the queue or the kind is paused. The answer has
    /// the order of `ids`. If another transaction has locked a job, the claim waits for the lock only for a moment, and the other
    /// jobs are claimed.
    ///
    /// # Errors
    /// A statement failed. If it was the second of two statements, the worker holds the jobs of the first one, until
    /// [`Store::held`] finds them or their leases run out.
    pub async fn claim(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let mut left = sorted(ids);
        let claim = Claim { store: self, worker, queue, kinds: kinds.names(), lease_ms: millis(lease) };
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
        if !left.is_empty() && self.limited_runs.are_likely() {
            let limited = self.claim_limited(&claim, &in_line_order(ids, &left), left.len()).await?;
            left.retain(|id| limited.iter().all(|job| job.fence.id.0 != *id));
            jobs.extend(limited);
        }
        if !left.is_empty() {
            jobs.extend(claim.send_careful(&left, left.len(), &self.bounded).await.map_err(Error::sql(DOING))?);
        }
        Ok(self.decrypted(in_order_of(ids, jobs)).await)
    }

    /// The same for hints that were refused because of a lock, or because too many jobs that crash their workers were
    /// running. Claims up to `limit` jobs and waits for no lock.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn claim_careful(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let claim = Claim { store: self, worker, queue, kinds: kinds.names(), lease_ms: millis(lease) };
        let mut left = each_once(ids);
        let mut jobs = Vec::new();
        if !left.is_empty() && self.limited_runs.are_likely() {
            jobs = self.claim_limited(&claim, &left, limit).await?;
            left.retain(|id| jobs.iter().all(|job| job.fence.id.0 != *id));
        }
        let limit = limit.saturating_sub(jobs.len());
        if limit > 0 && !left.is_empty() {
            jobs.extend(claim.send_careful(&left, limit, &self.bounded).await.map_err(Error::sql(DOING))?);
        }
        Ok(self.decrypted(in_order_of(ids, jobs)).await)
    }

    /// Claims from the front of the line without Redis: `FOR UPDATE SKIP LOCKED`. Only a few jobs that crashed before
    /// run at the same time, so slots could be blocked by them. `with_crashed` says whether this call may claim such jobs too.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn claim_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Result<Vec<ClaimedJob>, Error> {
        // Jobs with limit keys get at most half of the slots, so that neither they nor the other jobs wait for ever.
        let mut jobs = match limit > 0 && self.limited_runs.are_asked_for() {
            true => self.claim_limited_line(worker, queue, kinds, (limit + 1) / 2, lease).await?,
            false => Vec::new(),
        };
        let limit = limit - i64::try_from(jobs.len()).unwrap_or(limit);
        if limit > 0 || jobs.is_empty() {
            let statement = sqlx::query(statement!("claim_line"))
                .bind(worker.0)
                .bind(queue.as_str())
                .bind(kinds.names())
                .bind(limit)
                .bind(millis(lease))
                .bind(with_crashed);
            let rows = statement.try_map(|row| claimed(self, &row, worker)).fetch_all(&self.bounded).await;
            let others = rows.map_err(Error::sql("claiming jobs from the line"))?;
            if jobs.is_empty() {
                return Ok(self.decrypted(others).await);
            }
            jobs.extend(others);
        }
        jobs.sort_by_key(|job| (job.line_at, job.fence.id));
        Ok(self.decrypted(jobs).await)
    }

    /// The queues among these that have a queued job, even if the job cannot be claimed now.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn queues_in_line(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error> {
        let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        let statement = sqlx::query(include_str!("../sql/queues_in_line.sql")).bind(names);
        let found = statement.try_map(|row| word(&row, "name")).fetch_all(&self.bounded).await;
        found.map_err(Error::sql("looking for queues that have jobs"))
    }

    /// Claims jobs that have limit keys, for hints in the order of the line. If the lock of a key is taken, the call claims
    /// nothing.
    async fn claim_limited(&self, claim: &Claim<'_>, ids: &[Uuid], limit: usize) -> Result<Vec<ClaimedJob>, Error> {
        let ids = &ids[..ids.len().min(LIMITED_AT_ONCE)];
        match claim.send_limited(ids, limit, &self.bounded).await {
            Ok(jobs) => Ok(self.begun(jobs)),
            Err(error) if is_locked(&error) => Ok(Vec::new()),
            Err(error) => Err(Error::sql(DOING)(error)),
        }
    }

    async fn claim_limited_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let statement = sqlx::query(statement!("claim_limited_line"))
            .bind(worker.0)
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(limit.min(LIMITED_AT_ONCE as i64 / 2))
            .bind(millis(lease))
            .bind(millis(TOKEN_AHEAD));
        let rows = statement.try_map(|row| limited(self, &row, worker)).fetch_all(&self.bounded).await;
        match rows {
            Ok(jobs) => Ok(self.begun(jobs)),
            Err(error) if is_locked(&error) => Ok(Vec::new()),
            Err(error) => Err(Error::sql("claiming jobs with limit keys from the line")(error)),
        }
    }

    pub(crate) fn begun(&self, jobs: Vec<(ClaimedJob, Vec<String>)>) -> Vec<ClaimedJob> {
        if !jobs.is_empty() {
            self.limited_runs.begun(jobs.iter().map(|(job, keys)| (job.fence, keys.clone())));
        }
        jobs.into_iter().map(|(job, _)| job).collect()
    }

    /// Finds out why a worker of these kinds did not get some hints: returns the live jobs among them.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error> {
        let statement = sqlx::query(statement!("look")).bind(uuids(ids)).bind(kinds.names());
        let rows = statement.try_map(|row| status(&row)).fetch_all(&self.bounded).await;
        let mut looked = rows.map_err(Error::sql("looking at hints that were not claimed"))?;
        let is_limited = |job: &&mut JobStatus| job.claimability == Claimability::Limited;
        let limited: Vec<Uuid> = looked.iter_mut().filter(is_limited).map(|job| job.id.0).collect();
        if !limited.is_empty() {
            self.limited_runs.found();
            let tokens = self.tokens_of(&limited).await?;
            looked.iter_mut().for_each(|job| job.token_in = tokens.get(&job.id).copied());
        }
        Ok(looked)
    }

    /// When claims may get the tokens for these jobs. A job whose keys have no rate is not in the answer.
    async fn tokens_of(&self, ids: &[Uuid]) -> Result<HashMap<JobId, Duration>, Error> {
        let statement = sqlx::query(include_str!("../sql/tokens_of_jobs.sql")).bind(ids);
        let rows =
            statement.try_map(|row: PgRow| Ok((job_id(&row, "id")?, ahead_of_token(row.try_get("token_in_us")?))));
        let rows = rows.fetch_all(&self.bounded).await;
        Ok(rows.map_err(Error::sql("reading when tokens of limit keys come"))?.into_iter().collect())
    }

    /// When a claim may get the next token for a job at the front of the line, if a job with limit keys waits for one.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next_token(&self, queue: &QueueName, kinds: &Kinds) -> Result<Option<Duration>, Error> {
        if !self.limited_runs.are_likely() {
            return Ok(None);
        }
        let statement = sqlx::query(include_str!("../sql/next_token.sql")).bind(queue.as_str()).bind(kinds.names());
        let row = statement.try_map(|row: PgRow| row.try_get::<Option<i64>, _>("token_in_us")).fetch_one(&self.bounded);
        let token_in_us = row.await.map_err(Error::sql("reading when the next token of a limit key comes"))?;
        Ok(token_in_us.map(ahead_of_token))
    }
}

/// The start time of a run whose token comes after this number of µs.
fn ahead_of_token(token_in_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(token_in_us).unwrap_or_default()).saturating_sub(TOKEN_AHEAD)
}

/// In the order of the caller, which is the order of the line: a statement with a limit claims the first jobs.
fn each_once(ids: &[JobId]) -> Vec<Uuid> {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.iter().filter(|id| seen.insert(**id)).map(|id| id.0).collect()
}

/// The ids that are left, in the order of the line.
fn in_line_order(ids: &[JobId], left: &[Uuid]) -> Vec<Uuid> {
    let left: HashSet<Uuid> = left.iter().copied().collect();
    each_once(ids).into_iter().filter(|id| left.contains(id)).collect()
}

/// Statements that wait for locks lock rows in this order, so that two statements never wait for each other in both directions.
fn sorted(ids: &[JobId]) -> Vec<Uuid> {
    let mut ids = uuids(ids);
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The server answers in the order of its table. Jobs must start in the order of the line, which is the order of their
/// hints.
fn in_order_of(ids: &[JobId], mut jobs: Vec<ClaimedJob>) -> Vec<ClaimedJob> {
    if jobs.len() > 1 {
        let places: HashMap<JobId, usize> = ids.iter().enumerate().rev().map(|(place, id)| (*id, place)).collect();
        jobs.sort_by_key(|job| places.get(&job.fence.id).copied());
    }
    jobs
}

/// Whether the statement failed because another transaction held a lock.
pub(crate) fn is_locked(error: &sqlx::Error) -> bool {
    code_of(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// The parameters of both statements.
struct Claim<'a> {
    store: &'a Store,
    worker: WorkerId,
    queue: &'a QueueName,
    kinds: Option<Vec<&'a str>>,
    lease_ms: i64,
}

impl Claim<'_> {
    async fn send(&self, ids: &[Uuid], bounded: &Bounded) -> Result<Vec<ClaimedJob>, sqlx::Error> {
        let is_plain = !self.store.rare_jobs.found_recently(self.queue);
        let query = sqlx::query(if is_plain { statement!("claim") } else { statement!("claim_any") })
            .bind(self.worker.0)
            .bind(ids)
            .bind(&self.kinds)
            .bind(self.lease_ms)
            .bind(self.queue.as_str());
        // The answer leaves out the values that are the same for all of these jobs.
        let rows = query.fetch_all(bounded).await?;
        rows.iter().map(|row| decoded(self.store, row, self.worker, self.queue.clone(), 0)).collect()
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
            .bind(self.lease_ms)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(self.queue.as_str());
        self.decode(&query.fetch_all(bounded).await?)
    }

    async fn send_limited(
        &self,
        ids: &[Uuid],
        limit: usize,
        bounded: &Bounded,
    ) -> Result<Vec<(ClaimedJob, Vec<String>)>, sqlx::Error> {
        let query = sqlx::query(statement!("claim_limited"))
            .bind(self.worker.0)
            .bind(ids)
            .bind(&self.kinds)
            .bind(self.lease_ms)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(self.queue.as_str())
            .bind(millis(TOKEN_AHEAD));
        let rows = query.fetch_all(bounded).await?;
        rows.iter().map(|row| limited(self.store, row, self.worker)).collect()
    }

    fn decode(&self, rows: &[PgRow]) -> Result<Vec<ClaimedJob>, sqlx::Error> {
        rows.iter().map(|row| claimed(self.store, row, self.worker)).collect()
    }
}

/// The fields that most jobs do not have. One column has all of these fields.
#[derive(Default, Deserialize)]
struct RareWords {
    retry: Option<Box<RawValue>>,
    retry_ms_left: Option<i64>,
    has_parents: bool,
    is_fair: bool,
    traceparent: Option<String>,
}

fn rare_words(row: &PgRow) -> Result<Option<RareWords>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<&str>, _>("rare_words")? else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| decode("rare_words", error))
}

/// For how long a job had been due when its run began.
fn due_for(row: &PgRow) -> Result<Option<Duration>, sqlx::Error> {
    let Some(due_at) = time_if_any(row, "due_at")? else { return Ok(None) };
    let started_at = time_if_any(row, "started_at")?;
    Ok(started_at.map(|started_at| (started_at - due_at).to_std().unwrap_or_default()))
}

/// Decodes a row of a claim, and notes a run of a job that has a fair key.
pub(crate) fn claimed(store: &Store, row: &PgRow, worker: WorkerId) -> Result<ClaimedJob, sqlx::Error> {
    decoded(store, row, worker, word(row, "queue")?, row.try_get("crashes")?)
}

fn decoded(
    store: &Store,
    row: &PgRow,
    worker: WorkerId,
    queue: QueueName,
    crashes: i16,
) -> Result<ClaimedJob, sqlx::Error> {
    let words = rare_words(row)?;
    if words.is_some() {
        store.rare_jobs.found(&queue);
    }
    let words = words.unwrap_or_default();
    // A value that a person wrote by hand in another form is ignored.
    let retry: Option<Retry> = words.retry.and_then(|retry| serde_json::from_str(retry.get()).ok());
    // Before its first retry, the job has its whole time.
    let retry_left = match words.retry_ms_left {
        Some(ms) => Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        None => retry.and_then(|retry| retry.for_time),
    };
    let fence = Fence { id: job_id(row, "id")?, epoch: row.try_get("epoch")?, worker };
    let mut job = ClaimedJob::new(fence, queue, word(row, "kind")?, json_present(row, "payload")?);
    job.attempt = row.try_get("attempt")?;
    job.max_attempts = row.try_get("max_attempts")?;
    job.crashes = crashes;
    job.timeout = timeout(row)?;
    job.line_at = line_at(row)?;
    job.retry = retry;
    job.retry_left = retry_left;
    job.has_parents = words.has_parents;
    job.due_for = due_for(row)?;
    job.traceparent = words.traceparent;
    if words.is_fair {
        store.fair_runs.begun([(job.fence, job.queue.clone())]);
    }
    Ok(job)
}

/// Decodes a row of a claim of a job with limit keys.
pub(crate) fn limited(store: &Store, row: &PgRow, worker: WorkerId) -> Result<(ClaimedJob, Vec<String>), sqlx::Error> {
    let begins_in = u64::try_from(row.try_get::<i64, _>("begins_in_us")?).unwrap_or_default();
    let mut job = claimed(store, row, worker)?;
    job.begins_in = Duration::from_micros(begins_in);
    Ok((job, row.try_get("limit_keys")?))
}

fn status(row: &PgRow) -> Result<JobStatus, sqlx::Error> {
    Ok(JobStatus {
        id: job_id(row, "id")?,
        state: word(row, "state")?,
        queue: word(row, "queue")?,
        kind: word(row, "kind")?,
        line_at: line_at(row)?,
        claimability: word(row, "claimability")?,
        lease_ms_left: row.try_get("lease_ms_left")?,
        token_in: None,
    })
}
