//! pause, resume and purge: what an operator does with a whole queue.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
    statement::statement,
};
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use sqlx::PgConnection;
use std::time::Instant;
use uuid::Uuid;

impl Store {
    /// Pauses a queue: no job of it is claimed until it is resumed. Returns whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.set_paused(queue, "pausing a queue", include_str!("../sql/pause.sql")).await
    }

    /// Resumes a queue. Returns whether it was paused.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.set_paused(queue, "resuming a queue", include_str!("../sql/resume.sql")).await
    }

    async fn set_paused(&self, queue: &QueueName, doing: &'static str, sql: &'static str) -> Result<bool, Error> {
        let begun = Instant::now();
        let tries = retry_locked(self, &Set { store: self, queue, doing, sql }, 1, begun).await?;
        if let Some((_, changed)) = tries.done.into_iter().next() {
            return Ok(changed);
        }
        let tell = |(nth, by)| Locked { nth, what: format!("queue {queue}"), by };
        let held = tries.held.into_iter().map(tell).collect();
        Err(Error::Locked(Box::new(LockedOut { doing, held, accepted: Vec::new() })))
    }

    /// The paused queues.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn paused(&self) -> Result<Vec<QueueName>, Error> {
        let sql = || Error::sql("reading which queues are paused");
        let names: Vec<String> =
            sqlx::query_scalar(include_str!("../sql/paused.sql")).fetch_all(&self.bounded).await.map_err(sql())?;
        let names: Result<Vec<QueueName>, _> = names.into_iter().map(QueueName::try_from).collect();
        names.map_err(|error| sql()(sqlx::Error::Decode(error.into())))
    }

    /// Cancels up to `limit` waiting (not running) jobs of a queue. An answer with fewer than `limit` ids means: no
    /// waiting job is left, except jobs that another session had locked.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query_scalar(statement!("purge")).bind(queue.as_str()).bind(limit);
        let ids: Vec<Uuid> = statement.fetch_all(&self.long_statements).await.map_err(Error::sql("purging a queue"))?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}

/// A change to the row of one queue.
struct Set<'a> {
    store: &'a Store,
    queue: &'a QueueName,
    doing: &'static str,
    sql: &'static str,
}

#[async_trait]
impl Lockable for Set<'_> {
    type Answer = bool;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<bool>, Error> {
        let statement = sqlx::query(self.sql).bind(self.queue.as_str()).bind(BATCH_LOCK_TIMEOUT);
        match statement.fetch_optional(&self.store.bounded).await.map_err(Error::sql(self.doing)) {
            Err(error) if error.is_locked() => Ok(Tries { done: Vec::new(), held: left }),
            row => row.map(|row| Tries { done: vec![(0, row.is_some())], held: Vec::new() }),
        }
    }

    async fn one(&self, connection: &mut PgConnection, _: usize) -> Result<Option<bool>, Error> {
        let statement = sqlx::query(self.sql).bind(self.queue.as_str()).bind(OBSERVED_LOCK_TIMEOUT).persistent(false);
        statement.fetch_optional(connection).await.map(|row| Some(row.is_some())).map_err(Error::sql(self.doing))
    }
}
