//! cancel: a client asks to stop jobs. cancel_wanted: the running jobs whose workers must be told to stop.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, SINGLE_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
    row::{job_id, uuids, word, worker},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, Epoch, JobId, WorkerId};
use leasehold_ports::{CancelWanted, Cancelled};
use sqlx::{
    PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{collections::HashSet, time::Instant};

const DOING: &str = "cancelling jobs";

impl Store {
    /// Cancels jobs. The answer leaves out ids that belong to no job. Waits up to `lock_timeout` for jobs that other
    /// sessions have locked; the other jobs do not wait for them.
    ///
    /// # Errors
    /// [`Error::Locked`] when some jobs are still locked after that time; the other jobs are cancelled. Or a statement
    /// failed.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        let (answers, held) = self.cancel_free(ids, None).await?;
        if held.is_empty() {
            return Ok(answers);
        }
        Err(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: Vec::new() })))
    }

    /// The same, but a job that stays locked is no error: returns the answers, and the locked jobs. The wait for locks counts from
    /// `since`, if it is given.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn cancel_free(
        &self,
        ids: &[JobId],
        since: Option<Instant>,
    ) -> Result<(Vec<Cancelled>, Vec<Locked>), Error> {
        let mut answers = Vec::with_capacity(ids.len());
        let mut locked = Vec::new();
        for (batch, first) in ids.chunks(BATCH_MAX).zip((0..).step_by(BATCH_MAX)) {
            let begun = since.unwrap_or_else(Instant::now);
            match self.cancel_batch(batch, BATCH_LOCK_TIMEOUT).await {
                Err(error) if error.may_be_row_lock() => {
                    let tries = retry_locked(self, &Each { store: self, ids: batch }, batch.len(), begun).await?;
                    answers.extend(tries.done.into_iter().flat_map(|(_, answers)| answers));
                    let tell = |(nth, by)| Locked { nth: first + nth, what: format!("job {}", batch[nth]), by };
                    locked.extend(tries.held.into_iter().map(tell));
                }
                batch => answers.extend(batch?),
            }
        }
        Ok((answers, locked))
    }

    /// Running jobs with a cancel request.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error> {
        let statement = sqlx::query(include_str!("../sql/cancel_wanted.sql")).bind(limit);
        let rows = statement.try_map(|row| cancel_wanted(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking for runs to cancel"))
    }

    async fn cancel_batch(&self, ids: &[JobId], lock_timeout: &str) -> Result<Vec<Cancelled>, Error> {
        let mut answers = self.cancel_once(ids, lock_timeout).await?;
        let seen: HashSet<JobId> = answers.iter().map(|answer| answer.id).collect();
        // A job that finished while the statement waited for the lock: the statement sees this job in neither table.
        let unseen: Vec<JobId> = ids.iter().filter(|id| !seen.contains(id)).copied().collect();
        if !unseen.is_empty() {
            answers.extend(self.cancel_once(&unseen, lock_timeout).await?);
        }
        Ok(answers)
    }

    async fn cancel_once(&self, ids: &[JobId], lock_timeout: &str) -> Result<Vec<Cancelled>, Error> {
        let rows = statement(ids, lock_timeout).try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql(DOING))
    }
}

/// One statement for each job.
struct Each<'a> {
    store: &'a Store,
    ids: &'a [JobId],
}

#[async_trait]
impl Lockable for Each<'_> {
    type Answer = Vec<Cancelled>;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Vec<Cancelled>>, Error> {
        let mut tries = Tries::default();
        for nth in left {
            match self.store.cancel_batch(&self.ids[nth..=nth], SINGLE_LOCK_TIMEOUT).await {
                Ok(answer) => tries.done.push((nth, answer)),
                Err(error) if error.is_locked() => tries.held.push(nth),
                Err(error) => return Err(error),
            }
        }
        Ok(tries)
    }

    async fn one(&self, connection: &mut PgConnection, nth: usize) -> Result<Option<Vec<Cancelled>>, Error> {
        let statement = statement(&self.ids[nth..=nth], OBSERVED_LOCK_TIMEOUT).persistent(false);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(connection).await;
        rows.map(Some).map_err(Error::sql(DOING))
    }
}

fn statement<'a>(ids: &[JobId], lock_timeout: &'a str) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(include_str!("../sql/cancel.sql")).bind(uuids(ids)).bind(lock_timeout)
}

fn decode(row: &PgRow) -> Result<Cancelled, sqlx::Error> {
    let epoch: Epoch = row.try_get("epoch")?;
    let running = worker(row, "worker")?.map(|worker| (worker, epoch));
    Ok(Cancelled::new(job_id(row, "id")?, word(row, "queue")?, word(row, "state")?, running, row.try_get("changed")?))
}

fn cancel_wanted(row: &PgRow) -> Result<CancelWanted, sqlx::Error> {
    Ok(CancelWanted {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
    })
}
