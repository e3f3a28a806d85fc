//! priority_step: the waiting time that one point of priority is worth in a queue, and the order of its line after a change of
//! this step.

use crate::{
    connect::Store,
    error::Error,
    locked_out::{Locked, LockedOut},
    row::{millis, uuids, word},
    statement::statement,
};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Reorder, Reordered, STRICT_PRIORITY_STEP};
use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// The number of jobs that one statement reads: some milliseconds of work.
const REORDER_BATCH: i64 = 1_000;
/// The pause between two tries to move jobs that other sessions have locked.
const PAUSE: Duration = Duration::from_millis(100);

impl Store {
    /// Whether a job with a higher priority always comes first in the queue.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn is_strict(&self, queue: &QueueName) -> Result<bool, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/is_strict.sql"));
        let statement = statement.bind(queue.as_str()).bind(millis(STRICT_PRIORITY_STEP));
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading the priority step of a queue"))
    }

    /// Sets what one point of priority is worth in a queue, and moves the jobs that wait. At most [`STRICT_PRIORITY_STEP`]; a
    /// longer step is cut to it. Returns how many waiting jobs moved.
    ///
    /// A reaper moves all jobs once more. This catches the jobs that the call did not reach because it was stopped, the jobs that
    /// other sessions had locked, and the jobs of transactions that saw the old step and commit later.
    ///
    /// # Errors
    /// [`Error::Locked`] if other sessions hold the row of the queue, or waiting jobs, for longer than the lock timeout; or a
    /// statement failed. If the error names jobs, the step is set and all other jobs have moved. If the error names a locked
    /// table, its text says whether the step is set.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        let step_ms = i64::try_from(step.min(STRICT_PRIORITY_STEP).as_millis()).unwrap_or(i64::MAX);
        let statement = |lock_timeout: &'static str| {
            let statement = sqlx::query(include_str!("../sql/set_priority_step.sql"));
            statement.bind(queue.as_str()).bind(step_ms).bind(lock_timeout)
        };
        self.change(DOING, || format!("queue {queue}"), &statement).await?;
        let (mut after, mut total, mut locked) = (None, 0, Vec::new());
        loop {
            let batch = self.reorder_line(queue, after, REORDER_BATCH).await.map_err(not_moved)?;
            total += batch.moved;
            locked.extend(batch.locked);
            if batch.last.is_none() {
                break;
            }
            after = batch.last;
        }
        let begun = Instant::now();
        while !locked.is_empty() && begun.elapsed() < self.lock_timeout {
            sleep(PAUSE).await;
            let batch = self.reorder_jobs(queue, &locked).await.map_err(not_moved)?;
            total += batch.moved;
            locked = batch.locked;
        }
        if locked.is_empty() {
            return Ok(total);
        }
        let held = locked.iter().enumerate().map(|(nth, id)| Locked { nth, what: format!("job {id}"), by: None });
        Err(Error::Locked(Box::new(LockedOut { doing: NOT_MOVED, held: held.collect(), accepted: Vec::new() })))
    }

    /// The lines whose jobs must move.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn reorders(&self) -> Result<Vec<Reorder>, Error> {
        let statement = sqlx::query(include_str!("../sql/reorders.sql"));
        let reorder = |row: PgRow| {
            Ok(Reorder {
                queue: word(&row, "queue")?,
                since: row.try_get("since")?,
                is_seen_before: row.try_get("is_seen_before")?,
                running_from: row.try_get("running_from")?,
                begins_from: row.try_get("begins_from")?,
            })
        };
        let rows = statement.try_map(reorder).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading which lines must move"))
    }

    /// Moves the jobs of a line among the next `limit` jobs of all queues.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn reorder_line(&self, queue: &QueueName, after: Option<JobId>, limit: i64) -> Result<Reordered, Error> {
        let after = after.map_or(Uuid::nil(), |id| id.0);
        self.reorder(sqlx::query(statement!("reorder_line")).bind(queue.as_str()).bind(after).bind(limit)).await
    }

    /// Moves the jobs among these that must move.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn reorder_jobs(&self, queue: &QueueName, ids: &[JobId]) -> Result<Reordered, Error> {
        self.reorder(sqlx::query(statement!("reorder_jobs")).bind(queue.as_str()).bind(uuids(ids))).await
    }

    async fn reorder(&self, statement: Query<'_, Postgres, PgArguments>) -> Result<Reordered, Error> {
        let reordered = |row: PgRow| {
            let locked: Vec<Uuid> = row.try_get("locked")?;
            Ok(Reordered {
                last: row.try_get::<Option<Uuid>, _>("last")?.map(JobId),
                moved: row.try_get::<i64, _>("moved")?.try_into().unwrap_or_default(),
                locked: locked.into_iter().map(JobId).collect(),
            })
        };
        statement.try_map(reordered).fetch_one(&self.bounded).await.map_err(Error::sql("moving the jobs of a line"))
    }

    /// Notes that every job of a line has its position, unless the step has changed since.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn reorder_done(&self, queue: &QueueName, since: i64) -> Result<(), Error> {
        let statement = sqlx::query(include_str!("../sql/reorder_done.sql")).bind(queue.as_str()).bind(since);
        statement.execute(&self.bounded).await.map(drop).map_err(Error::sql("noting that a line has moved"))
    }
}

/// The step is already set. If another session has locked a table, this only delays the move of the jobs.
fn not_moved(error: Error) -> Error {
    match error {
        Error::Locked(locked) => Error::Locked(Box::new(LockedOut { doing: NOT_MOVED, ..*locked })),
        error => error,
    }
}

const NOT_MOVED: &str = "the step is set, and a reaper moves these jobs when their locks end";
const DOING: &str = "setting the priority step of a queue";
