//! revive: an operator runs finished jobs again.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, SINGLE_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
    row::{job_id, line_at, uuids, word},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, JobId};
use leasehold_ports::Revived;
use sqlx::{
    PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{collections::HashSet, time::Instant};

const DOING: &str = "reviving jobs";
/// How many times to try when another job takes the unique key during the statement.
const TRIES: u32 = 3;

impl Store {
    /// Moves finished jobs back to the line with new attempts. Also moves scheduled jobs into the line immediately. The answer
    /// leaves out all other jobs. Waits up to `lock_timeout` for jobs that other sessions have locked.
    ///
    /// # Errors
    /// [`Error::UniqueKeyTaken`] when a live job has the unique key of one of the jobs: no job of that batch of
    /// `BATCH_MAX` was revived. [`Error::Locked`] when other sessions still hold a job or its unique key: all other
    /// jobs were revived. Or a statement failed.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        let mut answers = Vec::with_capacity(ids.len());
        let mut locked = Vec::new();
        for (batch, first) in ids.chunks(BATCH_MAX).zip((0..).step_by(BATCH_MAX)) {
            let begun = Instant::now();
            match self.revive_batch(batch, BATCH_LOCK_TIMEOUT).await {
                Err(error) if error.may_be_row_lock() => {
                    let tries = retry_locked(self, &Each { store: self, ids: batch }, batch.len(), begun).await?;
                    answers.extend(tries.done.into_iter().flat_map(|(_, answers)| answers));
                    let tell = |(nth, by)| Locked {
                        nth: first + nth,
                        what: format!("job {} or its unique key", batch[nth]),
                        by,
                    };
                    locked.extend(tries.held.into_iter().map(tell));
                }
                batch => answers.extend(batch?),
            }
        }
        if locked.is_empty() {
            return Ok(answers);
        }
        Err(Error::Locked(Box::new(LockedOut { doing: DOING, held: locked, accepted: Vec::new() })))
    }

    /// Moves the jobs of one batch back to the line that can be moved now. Waits for no lock for long, and a unique key that a
    /// live job has taken stops no other job.
    ///
    /// # Errors
    /// A statement failed. Jobs that were revived before are in the line.
    pub async fn revive_free(&self, ids: &[JobId]) -> Result<Revival, Error> {
        let mut done = Revival::default();
        let mut left = ids.to_vec();
        while !left.is_empty() {
            let statement = statement(&left, BATCH_LOCK_TIMEOUT);
            let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await.map_err(Error::sql(DOING));
            let rows = match rows {
                // Another session has locked a job, or took a unique key between the check and the insert.
                Err(error) if error.may_be_row_lock() || error.code().as_deref() == Some("23505") => {
                    self.revive_each(&left, &mut done).await?;
                    break;
                }
                rows => rows?,
            };
            let taken: HashSet<JobId> = rows.iter().filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect();
            done.revived.extend(rows.into_iter().filter_map(|(_, job)| job));
            if taken.is_empty() {
                break;
            }
            left.retain(|id| !taken.contains(id));
            done.taken.extend(taken);
        }
        Ok(done)
    }

    async fn revive_each(&self, ids: &[JobId], done: &mut Revival) -> Result<(), Error> {
        for id in ids {
            match self.revive_batch(std::slice::from_ref(id), SINGLE_LOCK_TIMEOUT).await {
                Ok(revived) => done.revived.extend(revived),
                Err(Error::UniqueKeyTaken(id)) => done.taken.push(id),
                Err(error) if error.is_locked() => done.locked.push(*id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn revive_batch(&self, ids: &[JobId], lock_timeout: &str) -> Result<Vec<Revived>, Error> {
        let mut tried = 1;
        loop {
            let rows = statement(ids, lock_timeout).try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
            match rows.map_err(Error::sql(DOING)) {
                // unique_violation: another job took the key between the check and the insert.
                Err(error) if error.code().as_deref() == Some("23505") && tried < TRIES => tried += 1,
                rows => return revived(rows?),
            }
        }
    }
}

/// The result for a batch of jobs to revive. Jobs that are neither finished nor scheduled are in no list.
#[derive(Clone, Debug, Default)]
pub struct Revival {
    /// The jobs that are in the line now.
    pub revived: Vec<Revived>,
    /// Jobs whose unique key a live job has.
    pub taken: Vec<JobId>,
    /// Jobs that other sessions have locked, or whose unique key is locked.
    pub locked: Vec<JobId>,
}

/// One statement for each job.
struct Each<'a> {
    store: &'a Store,
    ids: &'a [JobId],
}

#[async_trait]
impl Lockable for Each<'_> {
    type Answer = Vec<Revived>;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Vec<Revived>>, Error> {
        let mut tries = Tries::default();
        for nth in left {
            match self.store.revive_batch(&self.ids[nth..=nth], SINGLE_LOCK_TIMEOUT).await {
                Ok(answer) => tries.done.push((nth, answer)),
                Err(error) if error.is_locked() => tries.held.push(nth),
                Err(error) => return Err(error),
            }
        }
        Ok(tries)
    }

    async fn one(&self, connection: &mut PgConnection, nth: usize) -> Result<Option<Vec<Revived>>, Error> {
        let statement = statement(&self.ids[nth..=nth], OBSERVED_LOCK_TIMEOUT).persistent(false);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(connection).await;
        revived(rows.map_err(Error::sql(DOING))?).map(Some)
    }
}

pub(crate) fn statement<'a>(ids: &[JobId], lock_timeout: &'a str) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(include_str!("../sql/revive.sql")).bind(uuids(ids)).bind(lock_timeout)
}

fn revived(rows: Vec<(JobId, Option<Revived>)>) -> Result<Vec<Revived>, Error> {
    rows.into_iter().map(|(id, revived)| revived.ok_or(Error::UniqueKeyTaken(id))).collect()
}

/// A row without a queue: the unique key of this job is taken.
pub(crate) fn decode(row: &PgRow) -> Result<(JobId, Option<Revived>), sqlx::Error> {
    let id = job_id(row, "id")?;
    if row.try_get::<Option<&str>, _>("queue")?.is_none() {
        return Ok((id, None));
    }
    Ok((id, Some(Revived::new(id, word(row, "queue")?, line_at(row)?))))
}
