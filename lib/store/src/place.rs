//! place: an operator or a client changes the priority of waiting jobs, or moves them to another queue.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, SINGLE_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
    row::{job_id, line_at_if_any, uuids, word},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, JobId, Place, QueueName};
use leasehold_ports::Placed;
use sqlx::{
    PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{collections::HashSet, time::Instant};

const DOING: &str = "placing jobs";

impl Store {
    /// Gives waiting jobs another priority or another queue, and the matching position in the line. Jobs that run or have
    /// finished stay as they are. The answer leaves out ids that belong to no job. Waits up to `lock_timeout` for jobs that
    /// other sessions have locked; the other jobs do not wait for them.
    ///
    /// # Errors
    /// [`Error::Locked`] when some jobs are still locked after that time; the other jobs have their new place. Or a
    /// statement failed.
    pub async fn place(&self, ids: &[JobId], place: &Place) -> Result<Vec<Placed>, Error> {
        place.validate()?;
        let mut answers = Vec::with_capacity(ids.len());
        let mut locked = Vec::new();
        for (batch, first) in ids.chunks(BATCH_MAX).zip((0..).step_by(BATCH_MAX)) {
            let begun = Instant::now();
            match self.place_batch(batch, place, BATCH_LOCK_TIMEOUT).await {
                Err(error) if error.may_be_row_lock() => {
                    let each = Each { store: self, ids: batch, place };
                    let tries = retry_locked(self, &each, batch.len(), begun).await?;
                    answers.extend(tries.done.into_iter().flat_map(|(_, answers)| answers));
                    let tell = |(nth, by)| Locked { nth: first + nth, what: format!("job {}", batch[nth]), by };
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

    async fn place_batch(&self, ids: &[JobId], place: &Place, lock_timeout: &str) -> Result<Vec<Placed>, Error> {
        let mut answers = self.place_once(ids, place, lock_timeout).await?;
        let seen: HashSet<JobId> = answers.iter().map(|answer| answer.id).collect();
        // A job that finished while the statement waited for the lock: the statement sees this job in neither table.
        let unseen: Vec<JobId> = ids.iter().filter(|id| !seen.contains(id)).copied().collect();
        if !unseen.is_empty() {
            answers.extend(self.place_once(&unseen, place, lock_timeout).await?);
        }
        Ok(answers)
    }

    async fn place_once(&self, ids: &[JobId], place: &Place, lock_timeout: &str) -> Result<Vec<Placed>, Error> {
        let rows = statement(ids, place, lock_timeout).try_map(|row| placed(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql(DOING))
    }
}

/// One statement for each job.
struct Each<'a> {
    store: &'a Store,
    ids: &'a [JobId],
    place: &'a Place,
}

#[async_trait]
impl Lockable for Each<'_> {
    type Answer = Vec<Placed>;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Vec<Placed>>, Error> {
        let mut tries = Tries::default();
        for nth in left {
            match self.store.place_batch(&self.ids[nth..=nth], self.place, SINGLE_LOCK_TIMEOUT).await {
                Ok(answer) => tries.done.push((nth, answer)),
                Err(error) if error.is_locked() => tries.held.push(nth),
                Err(error) => return Err(error),
            }
        }
        Ok(tries)
    }

    async fn one(&self, connection: &mut PgConnection, nth: usize) -> Result<Option<Vec<Placed>>, Error> {
        let statement = statement(&self.ids[nth..=nth], self.place, OBSERVED_LOCK_TIMEOUT).persistent(false);
        let rows = statement.try_map(|row| placed(&row)).fetch_all(connection).await;
        rows.map(Some).map_err(Error::sql(DOING))
    }
}

fn statement<'a>(ids: &[JobId], place: &'a Place, lock_timeout: &'a str) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(include_str!("../sql/place.sql"))
        .bind(uuids(ids))
        .bind(place.priority().map(i32::from))
        .bind(place.queue().map(QueueName::as_str))
        .bind(lock_timeout)
}

pub(crate) fn placed(row: &PgRow) -> Result<Placed, sqlx::Error> {
    let (was_in, queue) = (word(row, "was_in")?, word(row, "queue")?);
    let mut placed = Placed::new(job_id(row, "id")?, was_in, queue, word(row, "state")?);
    placed.line_at = line_at_if_any(row)?;
    placed.changed = row.try_get("changed")?;
    Ok(placed)
}
