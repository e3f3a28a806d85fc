//! Retries work that the locks of other sessions block, and searches for these sessions.
//!
//! A row that another session has locked, and a key that another transaction has inserted but not committed, leave only
//! one choice: to wait. A statement of many jobs waits a short time. If that is not enough, each job is retried in a
//! separate statement. So jobs that no session holds are done immediately, no statement waits at the server for long,
//! and a lock that lasts longer than `database.lock_timeout_ms` becomes an error that names the lock.

use crate::{
    connect::Store,
    error::Error,
    locked_out::{HOLDERS_MAX, Holder},
};
use async_trait::async_trait;
use sqlx::{PgConnection, Row};
use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// The lock timeout of a statement of many jobs: much longer than an ordinary statement of another session holds a
/// lock.
pub(crate) const BATCH_LOCK_TIMEOUT: &str = "200ms";
/// The lock timeout of a statement of one job. The statement is tried again.
pub(crate) const SINGLE_LOCK_TIMEOUT: &str = "20ms";
/// The lock timeout of an attempt during which we search for the session that holds the lock.
pub(crate) const OBSERVED_LOCK_TIMEOUT: &str = "400ms";
/// The time between two attempts, and between two searches for the holder.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(100);
const HOLDER_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Several tasks, some of which another session may block. Each task has a number.
#[async_trait]
pub(crate) trait Lockable: Sync {
    /// The answer to one task.
    type Answer: Send;

    /// Does as many of these tasks as possible. Reports which tasks are still blocked.
    async fn each(&self, left: Vec<usize>) -> Result<Tries<Self::Answer>, Error>;

    /// Does one task in a transaction that has its own lock timeout. `None`: the task is no longer needed.
    async fn one(&self, connection: &mut PgConnection, nth: usize) -> Result<Option<Self::Answer>, Error>;
}

/// The tasks that were done, and the tasks that are still blocked.
pub(crate) struct Tries<T, H = usize> {
    pub(crate) done: Vec<(usize, T)>,
    pub(crate) held: Vec<H>,
}

impl<T, H> Default for Tries<T, H> {
    fn default() -> Self {
        Self { done: Vec::new(), held: Vec::new() }
    }
}

/// The number of a blocked task, and the session that holds the lock, if known.
pub(crate) type Held = (usize, Option<Holder>);

/// Tries the tasks until all are done or until `lock_timeout` after `begun`, the start of the call. Then tries the first
/// blocked tasks once more, to find the sessions that hold the locks.
pub(crate) async fn retry_locked<T: Lockable>(
    store: &Store,
    tried: &T,
    count: usize,
    begun: Instant,
) -> Result<Tries<T::Answer, Held>, Error> {
    let mut tries = Tries::default();
    let mut left: Vec<usize> = (0..count).collect();
    loop {
        let more = tried.each(left).await?;
        tries.done.extend(more.done);
        left = more.held;
        if left.is_empty() || begun.elapsed() >= store.lock_timeout {
            break;
        }
        sleep(RETRY_INTERVAL).await;
    }
    for (place, nth) in left.into_iter().enumerate() {
        if place >= HOLDERS_MAX {
            tries.held.push((nth, None));
            continue;
        }
        match store.try_and_find_holder(tried, nth).await {
            (Ok(answer), _) => tries.done.extend(answer.map(|answer| (nth, answer))),
            (Err(error), holder) if error.is_locked() => tries.held.push((nth, holder)),
            (Err(error), _) => return Err(error),
        }
    }
    Ok(tries)
}

impl Store {
    /// Sets how long to wait for locks of other sessions, instead of the default of 5 s.
    #[must_use]
    pub fn with_lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self
    }

    /// The answer of one more attempt in a separate transaction, and the session that the attempt waited for.
    pub(crate) async fn try_and_find_holder<T: Lockable>(
        &self,
        tried: &T,
        nth: usize,
    ) -> (Result<Option<T::Answer>, Error>, Option<Holder>) {
        let mut holder = None;
        let answer = async {
            let sql = || Error::sql("looking for the session that holds a lock");
            let mut transaction = self.transactions.begin().await.map_err(sql())?;
            let limit =
                sqlx::query(include_str!("../sql/lock_timeout.sql")).bind(OBSERVED_LOCK_TIMEOUT).persistent(false);
            limit.execute(&mut *transaction).await.map_err(sql())?;
            let pid = sqlx::raw_sql(include_str!("../sql/pid.sql")).fetch_one(&mut *transaction).await;
            let pid: i32 = pid.and_then(|row| row.try_get(0)).map_err(sql())?;
            let answer = self.poll_holder(tried.one(&mut transaction, nth), pid, &mut holder).await;
            match answer {
                Ok(answer) => transaction.commit().await.map(|()| answer).map_err(sql()),
                Err(error) => {
                    // Wait for the server to end the transaction before the connection returns to the pool.
                    let _ = transaction.rollback().await;
                    Err(error)
                }
            }
        }
        .await;
        (answer, holder)
    }

    async fn poll_holder<T>(&self, attempt: impl Future<Output = T>, pid: i32, holder: &mut Option<Holder>) -> T {
        let mut attempt = pin!(attempt);
        loop {
            match timeout(HOLDER_POLL_INTERVAL, attempt.as_mut()).await {
                Ok(answer) => return answer,
                // An active session has perhaps just begun to wait itself: the next search shows this.
                Err(_) if holder.as_ref().is_some_and(|held| held.state != "active") => {}
                Err(_) => {
                    let query = sqlx::query(include_str!("../sql/waits_for.sql")).bind(pid);
                    let row = query.fetch_optional(&self.bounded).await;
                    let found = row.ok().flatten().and_then(|row| Holder::of(&row));
                    *holder = found.or(holder.take());
                }
            }
        }
    }
}
