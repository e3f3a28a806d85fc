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
use uuid::Uuid;

/// Jobs that one statement looks at: some milliseconds of work.
const BATCH: i64 = 1_000;

impl Store {
    /// Sets what one point of priority is worth in a queue, and moves the jobs that wait. At most [`STRICT_PRIORITY_STEP`]; a
    /// longer step is cut to it. Returns how many jobs moved. A job that another session holds, or that is enqueued by a
    /// transaction which began before, keeps its old position.
    ///
    /// # Errors
    /// [`Error::Locked`], or a statement failed. After the latter the step is set, and calling it again moves the rest.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        let begun = Instant::now();
        let step_ms = i64::try_from(step.min(STRICT_PRIORITY_STEP).as_millis()).unwrap_or(i64::MAX);
        let tries = retry_locked(self, &Set { store: self, queue, step_ms }, 1, begun).await?;
        if tries.done.is_empty() {
            let tell = |(nth, by)| Locked { nth, what: format!("queue {queue}"), by };
            let held = tries.held.into_iter().map(tell).collect();
            return Err(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: Vec::new() })));
        }
        let (mut after, mut total) = (Uuid::nil(), 0);
        loop {
            let statement = sqlx::query_as(include_str!("../sql/reorder_line.sql"));
            let statement = statement.bind(queue.as_str()).bind(after).bind(BATCH);
            let (last, moved): (Option<Uuid>, i64) =
                statement.fetch_one(&self.bounded).await.map_err(Error::sql("moving the jobs of a line"))?;
            total += u64::try_from(moved).unwrap_or_default();
            let Some(last) = last else { return Ok(total) };
            after = last;
        }
    }
}

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
