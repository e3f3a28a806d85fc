//! priority_step: what one point of priority is worth in a queue, and the order of its line after a change of that.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
};
use async_trait::async_trait;
use leasehold_core::QueueName;
use leasehold_ports::STRICT_PRIORITY_STEP;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// Jobs that one statement looks at: some milliseconds of work.
const BATCH: i64 = 1_000;
/// The pause between two looks at jobs that other sessions have locked.
const PAUSE: Duration = Duration::from_millis(100);

impl Store {
    /// Sets what one point of priority is worth in a queue, and moves the jobs that wait. At most [`STRICT_PRIORITY_STEP`]; a
    /// longer step is cut to it. Returns how many jobs moved. A job that is enqueued by a transaction which began before, and
    /// commits later, keeps its old position.
    ///
    /// # Errors
    /// [`Error::Locked`] if other sessions hold the row of the queue, or waiting jobs, for longer than the lock timeout; or a
    /// statement failed. If it names jobs, the step is set and all other jobs have moved. A call with the same step moves the
    /// rest.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        let begun = Instant::now();
        let step_ms = i64::try_from(step.min(STRICT_PRIORITY_STEP).as_millis()).unwrap_or(i64::MAX);
        let tries = retry_locked(self, &Set { store: self, queue, step_ms }, 1, begun).await?;
        if tries.done.is_empty() {
            let tell = |(nth, by)| Locked { nth, what: format!("queue {queue}"), by };
            let held = tries.held.into_iter().map(tell).collect();
            return Err(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: Vec::new() })));
        }
        let (mut after, mut total, mut locked) = (Uuid::nil(), 0, Vec::new());
        loop {
            let batch = self.reorder(queue, after, BATCH).await?;
            total += batch.moved;
            locked.extend(batch.locked);
            let Some(last) = batch.last else { break };
            after = last;
        }
        let begun = Instant::now();
        while !locked.is_empty() && begun.elapsed() < self.lock_timeout {
            sleep(PAUSE).await;
            let mut still_locked = Vec::new();
            for id in locked {
                let before = Uuid::from_u128(id.as_u128().saturating_sub(1));
                let batch = self.reorder(queue, before, 1).await?;
                total += batch.moved;
                still_locked.extend(batch.locked);
            }
            locked = still_locked;
        }
        if locked.is_empty() {
            return Ok(total);
        }
        let held = locked.iter().enumerate().map(|(nth, id)| Locked { nth, what: format!("job {id}"), by: None });
        Err(Error::Locked(Box::new(LockedOut { doing: NOT_MOVED, held: held.collect(), accepted: Vec::new() })))
    }

    /// Moves the waiting jobs among the next `limit` jobs of the table.
    async fn reorder(&self, queue: &QueueName, after: Uuid, limit: i64) -> Result<Reordered, Error> {
        let statement = sqlx::query_as(include_str!("../sql/reorder_line.sql"));
        let statement = statement.bind(queue.as_str()).bind(after).bind(limit);
        let row: (Option<Uuid>, i64, Vec<Uuid>) =
            statement.fetch_one(&self.bounded).await.map_err(Error::sql(MOVING))?;
        let (last, moved, locked) = row;
        Ok(Reordered { last, moved: u64::try_from(moved).unwrap_or_default(), locked })
    }
}

/// What one statement did.
struct Reordered {
    /// The last job that it looked at.
    last: Option<Uuid>,
    moved: u64,
    /// Jobs that should move, and that other sessions have locked.
    locked: Vec<Uuid>,
}

const MOVING: &str = "moving the jobs of a line";
const NOT_MOVED: &str = "the step is set, and some jobs keep their old position until the command runs again";
const DOING: &str = "setting the priority step of a queue";

/// A change to the row of one queue.
struct Set<'a> {
    store: &'a Store,
    queue: &'a QueueName,
    step_ms: i64,
}

#[async_trait]
impl Lockable for Set<'_> {
    type Answer = ();

    async fn each(&self, left: Vec<usize>) -> Result<Tries<()>, Error> {
        let statement = sqlx::query(include_str!("../sql/set_priority_step.sql"));
        let statement = statement.bind(self.queue.as_str()).bind(self.step_ms).bind(BATCH_LOCK_TIMEOUT);
        match statement.fetch_one(&self.store.bounded).await.map_err(Error::sql(DOING)) {
            Err(error) if error.is_locked() => Ok(Tries { done: Vec::new(), held: left }),
            row => row.map(|_| Tries { done: vec![(0, ())], held: Vec::new() }),
        }
    }

    async fn one(&self, connection: &mut PgConnection, _: usize) -> Result<Option<()>, Error> {
        let statement = sqlx::query(include_str!("../sql/set_priority_step.sql")).bind(self.queue.as_str());
        let statement = statement.bind(self.step_ms).bind(OBSERVED_LOCK_TIMEOUT).persistent(false);
        statement.fetch_one(connection).await.map(|_| Some(())).map_err(Error::sql(DOING))
    }
}
