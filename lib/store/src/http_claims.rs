//! Claims of HTTP workers. Each claim has an id. One transaction contains the claim and the note about the runs that the claim
//! has started. So a worker that did not get the answer can ask for it again.

use crate::{
    claim::{TOKEN_AHEAD, claimed, limited},
    connect::Store,
    error::Error,
    promote::waiting,
    row::{job_id, line_at, millis, retry, time, uuids, word},
    statement::statement,
};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use leasehold_core::{Backoff, ClaimedJob, Epoch, Fence, JobId, Kind, QueueName, Retry, Tries, WorkerId};
use leasehold_ports::{Kinds, Waiting};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

const DOING: &str = "claiming jobs for an HTTP worker";

/// How long the answer to a claim may take to be written. After this time, a server that writes nothing has died. The server moves
/// the time while it writes.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The jobs of one claim with limit keys: their keys are locked until the claim ends.
const LIMITED_AT_ONCE: usize = 64;

/// A claim of an HTTP worker.
#[derive(Clone, Debug)]
pub struct HttpClaim {
    /// The id that the worker made at its start.
    pub worker: WorkerId,
    /// The queue.
    pub queue: QueueName,
    /// The kinds that the worker has handlers for.
    pub kinds: Kinds,
    /// The most jobs to claim.
    pub limit: usize,
    /// The length of the leases.
    pub lease: Duration,
    /// The id of the claim. The worker makes the id.
    pub claim_id: String,
    /// The worker knows the id, and may send the claim again.
    pub is_named: bool,
}

/// A claimed job, and the end of its lease.
#[derive(Clone, Debug)]
pub struct HttpRun {
    /// The job.
    pub job: ClaimedJob,
    /// The end of the lease, by the database's clock.
    pub lease_expires_at: DateTime<Utc>,
}

/// The facts about a live job that the end of its run needs.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct RunFacts {
    pub epoch: Epoch,
    pub queue: QueueName,
    pub kind: Kind,
    pub line_at: DateTime<Utc>,
    attempt: i32,
    max_attempts: i32,
    retry: Option<Retry>,
    retry_left: Option<Duration>,
}

impl RunFacts {
    /// The attempts that the job has left if this attempt fails.
    #[must_use]
    pub fn tries(&self, of_fleet: Backoff) -> Tries {
        Tries {
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            backoff: self.retry.map_or(of_fleet, |retry| retry.backoff(of_fleet)),
            time_left: self.retry_left,
        }
    }
}

impl Store {
    /// Claims jobs for hints of one queue, for claims of the same kinds: each claim has its hints, in the order of the line. Returns the
    /// runs of each claim, in the order of its hints. Waits for no lock. A job that is not in the answer was not claimed.
    ///
    /// # Errors
    /// A statement failed, and nothing was claimed for any of them. If the answer was lost, [`Store::recall_http`] finds the runs.
    pub async fn claim_http(&self, claims: &[(&HttpClaim, &[JobId])]) -> Result<Vec<Vec<HttpRun>>, Error> {
        // The locks of limit keys are taken in a fixed order within one claim, but not across several claims.
        if claims.len() > 1 && self.limited_runs.are_likely() {
            return try_join_all(claims.iter().map(|claim| self.claim_http_alone(*claim))).await;
        }
        let mut runs = Vec::new();
        for (claim, answer) in claims.iter().zip(self.claim_http_once(claims).await?) {
            runs.push(match answer {
                Some(runs) => runs,
                // Another process executes the same claim. This call waits for it.
                None => self.claim_http_alone(*claim).await.unwrap_or_default(),
            });
        }
        Ok(runs)
    }

    async fn claim_http_alone(&self, claim: (&HttpClaim, &[JobId])) -> Result<Vec<HttpRun>, Error> {
        let answer = self.claim_http_once(&[claim]).await?;
        Ok(answer.into_iter().flatten().flatten().collect())
    }

    /// One statement. `None` for a claim that another process executes.
    async fn claim_http_once(&self, claims: &[(&HttpClaim, &[JobId])]) -> Result<Vec<Option<Vec<HttpRun>>>, Error> {
        let Some((first, _)) = claims.first() else { return Ok(Vec::new()) };
        let with_limits = self.limited_runs.are_likely();
        let mut ids: Vec<JobId> = Vec::new();
        let mut last = Vec::new();
        for (_, hints) in claims {
            ids.extend(*hints);
            last.push(i32::try_from(ids.len()).unwrap_or(i32::MAX));
        }
        let of = |value: fn(&HttpClaim) -> i64| claims.iter().map(|(claim, _)| value(claim)).collect::<Vec<_>>();
        let statement = sqlx::query(statement!("claim_http"))
            .bind(claims.iter().map(|(claim, _)| claim.worker.0).collect::<Vec<_>>())
            .bind(claims.iter().map(|(claim, _)| claim.claim_id.as_str()).collect::<Vec<_>>())
            .bind(claims.iter().map(|(claim, _)| claim.is_named).collect::<Vec<_>>())
            .bind(of(|claim| i64::try_from(claim.limit).unwrap_or(i64::MAX)))
            .bind(of(|claim| millis(claim.lease)))
            .bind(last)
            .bind(uuids(&ids))
            .bind(first.kinds.names())
            .bind(first.queue.as_str())
            .bind(millis(ANSWER_WITHIN))
            .bind(with_limits)
            .bind(millis(TOKEN_AHEAD));
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql(DOING))?;
        let mut answers: Vec<Option<Vec<HttpRun>>> = vec![Some(Vec::new()); claims.len()];
        for row in &rows {
            let nth = place_of(row).map_err(Error::sql(DOING))?;
            let Some((claim, _)) = claims.get(nth) else { continue };
            let run = self.run_of_claim(row, claim.worker).map_err(Error::sql(DOING))?;
            answers[nth] = run.map(|run| {
                let mut runs = answers[nth].take().unwrap_or_default();
                runs.push(run);
                runs
            });
        }
        let places: HashMap<JobId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        for ((claim, _), runs) in claims.iter().zip(&mut answers) {
            let Some(runs) = runs else { continue };
            runs.sort_by_key(|run| places.get(&run.job.fence.id).copied());
            *runs = self.decrypted_runs(claim.worker, std::mem::take(runs)).await;
        }
        Ok(answers)
    }

    /// A run in the answer of `claim_http`. `None`: another process executes the claim.
    fn run_of_claim(&self, row: &PgRow, worker: WorkerId) -> Result<Option<HttpRun>, sqlx::Error> {
        if row.try_get::<Option<Uuid>, _>("id")?.is_none() {
            return Ok(None);
        }
        let job = match row.try_get::<Option<Vec<String>>, _>("limit_keys")? {
            // This process remembers the run, so that its keys are freed with its end.
            Some(_) => self.begun(vec![limited(self, row, worker)?]).pop().ok_or(sqlx::Error::RowNotFound)?,
            None => claimed(self, row, worker)?,
        };
        Ok(Some(HttpRun { job, lease_expires_at: time(row, "lease_expires_at")? }))
    }

    /// Claims jobs from the front of the line, without Redis.
    ///
    /// # Errors
    /// See [`Store::claim_http`].
    pub async fn claim_line_http(&self, claim: &HttpClaim) -> Result<Vec<HttpRun>, Error> {
        let with_limits = self.limited_runs.are_asked_for();
        let runs = match self.claim_front_in_time(claim, with_limits).await {
            Err(error) if with_limits && error.may_be_locked() => self.claim_front_in_time(claim, false).await,
            runs => runs,
        }?;
        Ok(self.decrypted_runs(claim.worker, runs).await)
    }

    /// The runs of a claim that have not ended, with a full lease.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn recall_http(&self, claim: &HttpClaim) -> Result<Vec<HttpRun>, Error> {
        let worker = claim.worker;
        let statement = recall(claim).try_map(|row| run_of(self, &row, worker));
        let runs = statement.fetch_all(&self.bounded).await;
        let runs = runs.map_err(Error::sql("reading a claim of an HTTP worker"))?;
        Ok(self.decrypted_runs(worker, runs).await)
    }

    /// The runs of this claim that another process has started and that have not ended. The claim has its turn until the end of the
    /// transaction: the same claim in another process waits, and then finds the runs.
    async fn recalled(&self, connection: &mut PgConnection, claim: &HttpClaim) -> Result<Vec<HttpRun>, Error> {
        if !claim.is_named {
            return Ok(Vec::new());
        }
        sqlx::query(include_str!("../sql/http_lock.sql"))
            .bind(claim.worker.0)
            .bind(&claim.claim_id)
            .persistent(false)
            .execute(&mut *connection)
            .await
            .map_err(Error::sql(DOING))?;
        let statement = recall(claim).persistent(false);
        let statement = statement.try_map(|row| run_of(self, &row, claim.worker));
        statement.fetch_all(connection).await.map_err(Error::sql(DOING))
    }

    /// Notes that the answers with these runs were written. With `more`: the answers are being written, and get this additional
    /// time. Returns the runs that another session has locked: for these runs, nothing was noted yet.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn http_delivery(&self, runs: &[Fence], more: Option<Duration>) -> Result<HashSet<Fence>, Error> {
        let ids: Vec<Uuid> = runs.iter().map(|run| run.id.0).collect();
        let epochs: Vec<Epoch> = runs.iter().map(|run| run.epoch).collect();
        let statement =
            sqlx::query(include_str!("../sql/http_delivery.sql")).bind(ids).bind(epochs).bind(more.map(millis));
        let locked =
            statement.fetch_all(&self.bounded).await.map_err(Error::sql("noting that HTTP workers have their jobs"))?;
        let locked: HashSet<Uuid> = locked.iter().map(|row| row.get("job")).collect();
        Ok(runs.iter().copied().filter(|run| locked.contains(&run.id.0)).collect())
    }

    /// Gives back up to `limit` runs of HTTP workers whose answers were not written in time.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn release_undelivered(&self, limit: i64) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/http_undelivered.sql")).bind(limit);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("giving back jobs that no HTTP worker has got"))
    }

    /// The HTTP worker gets no more jobs, from no server.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn drain_http(&self, worker: WorkerId) -> Result<(), Error> {
        let statement = sqlx::query(include_str!("../sql/http_drain.sql")).bind(worker.0);
        let done = statement.execute(&self.bounded).await;
        done.map(drop).map_err(Error::sql("draining an HTTP worker"))
    }

    /// The HTTP workers among these that get no more jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn drained_http(&self, workers: &[WorkerId]) -> Result<Vec<WorkerId>, Error> {
        let workers: Vec<Uuid> = workers.iter().map(|worker| worker.0).collect();
        let statement = sqlx::query(include_str!("../sql/http_drained.sql")).bind(workers);
        let rows = statement.try_map(|row: PgRow| row.try_get("worker").map(WorkerId)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading which HTTP workers are drained"))
    }

    /// The live jobs among these.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn run_facts(&self, ids: &[JobId]) -> Result<HashMap<JobId, RunFacts>, Error> {
        let statement = sqlx::query(include_str!("../sql/runs.sql")).bind(uuids(ids)).try_map(|row| facts(&row));
        let rows =
            statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading the runs of an HTTP worker"))?;
        Ok(rows.into_iter().collect())
    }

    async fn claim_front_in_time(&self, claim: &HttpClaim, with_limits: bool) -> Result<Vec<HttpRun>, Error> {
        let (store, claim) = (self.clone(), claim.clone());
        let claimed = async move { store.claim_front(&claim, with_limits).await };
        self.to_its_end(DOING, self.answers_within(), claimed).await
    }

    async fn claim_front(&self, claim: &HttpClaim, with_limits: bool) -> Result<Vec<HttpRun>, Error> {
        let mut transaction = self.transaction(DOING).await?;
        let earlier = self.recalled(&mut transaction, claim).await?;
        if !earlier.is_empty() {
            transaction.commit().await.map_err(Error::sql(DOING))?;
            return Ok(earlier);
        }
        let mut jobs = Vec::new();
        if with_limits {
            let half = claim.limit.div_ceil(2).min(LIMITED_AT_ONCE);
            let rows = sqlx::query(statement!("claim_limited_line"))
                .bind(claim.worker.0)
                .bind(claim.queue.as_str())
                .bind(claim.kinds.names())
                .bind(i64::try_from(half).unwrap_or(i64::MAX))
                .bind(millis(claim.lease))
                .bind(millis(TOKEN_AHEAD))
                .persistent(false);
            let rows = rows.fetch_all(&mut *transaction).await.map_err(Error::sql(DOING))?;
            jobs = self.begun_of(&rows, claim.worker)?;
        }
        for with_crashed in [false, true] {
            let limit = claim.limit.saturating_sub(jobs.len());
            if limit == 0 {
                break;
            }
            let rows = sqlx::query(statement!("claim_line"))
                .bind(claim.worker.0)
                .bind(claim.queue.as_str())
                .bind(claim.kinds.names())
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .bind(millis(claim.lease))
                .bind(with_crashed)
                .persistent(false);
            let rows = rows.fetch_all(&mut *transaction).await.map_err(Error::sql(DOING))?;
            jobs.extend(self.jobs_of(&rows, claim.worker)?);
        }
        let mut runs = note(&mut transaction, claim, jobs).await?;
        transaction.commit().await.map_err(Error::sql(DOING))?;
        runs.sort_by_key(|run| (run.job.line_at, run.job.fence.id));
        Ok(runs)
    }

    /// The runs of jobs with limit keys, which this process remembers, so that their keys are freed with their ends.
    fn begun_of(&self, rows: &[PgRow], worker: WorkerId) -> Result<Vec<ClaimedJob>, Error> {
        let jobs: Result<Vec<_>, _> = rows.iter().map(|row| limited(self, row, worker)).collect();
        Ok(self.begun(jobs.map_err(Error::sql(DOING))?))
    }

    fn jobs_of(&self, rows: &[PgRow], worker: WorkerId) -> Result<Vec<ClaimedJob>, Error> {
        rows.iter().map(|row| claimed(self, row, worker)).collect::<Result<_, _>>().map_err(Error::sql(DOING))
    }
}

type Query<'a> = sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn recall(claim: &HttpClaim) -> Query<'_> {
    let statement = sqlx::query(statement!("http_recall")).bind(claim.worker.0).bind(&claim.claim_id);
    statement.bind(millis(claim.lease)).bind(claim.queue.as_str())
}

/// Notes which claim has started these runs.
async fn note(connection: &mut PgConnection, claim: &HttpClaim, jobs: Vec<ClaimedJob>) -> Result<Vec<HttpRun>, Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.fence.id.0).collect();
    let rows = sqlx::query(include_str!("../sql/http_note.sql"))
        .bind(claim.worker.0)
        .bind(&claim.claim_id)
        .bind(ids)
        .bind(millis(ANSWER_WITHIN))
        .persistent(false)
        .fetch_all(connection)
        .await
        .map_err(Error::sql(DOING))?;
    let end = |row: &PgRow| Ok((job_id(row, "id")?, time(row, "lease_expires_at")?));
    let ends: Result<HashMap<JobId, DateTime<Utc>>, sqlx::Error> = rows.iter().map(end).collect();
    let ends = ends.map_err(Error::sql(DOING))?;
    let with_end = |job: ClaimedJob| {
        let lease_expires_at = ends.get(&job.fence.id).copied()?;
        Some(HttpRun { job, lease_expires_at })
    };
    Ok(jobs.into_iter().filter_map(with_end).collect())
}

/// The place of the claim in the statement.
fn place_of(row: &PgRow) -> Result<usize, sqlx::Error> {
    Ok(usize::try_from(row.try_get::<i64, _>("nth")? - 1).unwrap_or(usize::MAX))
}

fn run_of(store: &Store, row: &PgRow, worker: WorkerId) -> Result<HttpRun, sqlx::Error> {
    Ok(HttpRun { job: claimed(store, row, worker)?, lease_expires_at: time(row, "lease_expires_at")? })
}

fn facts(row: &PgRow) -> Result<(JobId, RunFacts), sqlx::Error> {
    let retry = retry(row)?;
    let retry_left = match row.try_get::<Option<i64>, _>("retry_ms_left")? {
        Some(ms) => Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        // Before its first retry, the job has its whole time.
        None => retry.and_then(|retry| retry.for_time),
    };
    let facts = RunFacts {
        epoch: row.try_get("epoch")?,
        queue: word(row, "queue")?,
        kind: word(row, "kind")?,
        line_at: line_at(row)?,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        retry,
        retry_left,
    };
    Ok((job_id(row, "id")?, facts))
}
