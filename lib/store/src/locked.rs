//! Locks of other sessions that keep us from our work, and who holds these locks.
//!
//! A row that another session has locked, and a key that another transaction has inserted but not committed, leave us
//! only one choice: to wait. A statement of many jobs waits a short time. If that is not enough, each job is tried in a
//! statement of its own, again and again. So jobs that nobody holds are done at once, no statement waits at the server
//! for long, and a lock that lasts longer than `database.lock_timeout_ms` becomes an error that names the lock.

use crate::{connect::Store, error::Error};
use async_trait::async_trait;
use leasehold_ports::Enqueued;
use sqlx::{PgConnection, Row};
use std::{
    fmt,
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
/// The lock timeout of an attempt during which we look for the session that holds the lock.
pub(crate) const OBSERVED_LOCK_TIMEOUT: &str = "400ms";
/// The time between two attempts, and between two looks for the holder.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
const HOLDER_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// For how many locked things we look for the holder. Usually one transaction holds all of them.
const HOLDERS_MAX: usize = 3;

/// A session that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of pg_stat_activity")]
pub struct Holder {
    /// The table, if the whole table is locked; else the kind of lock.
    pub lock: String,
    pub pid: i32,
    pub application: String,
    pub state: String,
    /// For how long its transaction has been open.
    pub open_s: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, application, state, open_s, .. } = self;
        write!(f, "pid {pid}, application {application}, {state}, open for {open_s} s")
    }
}

/// One locked thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Its index among the things that were sent, from 0.
    pub nth: usize,
    /// A description: a unique key, an id, a queue.
    pub what: String,
    /// The session that holds the lock, if it was found.
    pub by: Option<Holder>,
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by.as_ref().filter(|by| by.lock.starts_with("leasehold.")) {
            Some(by) => write!(f, "the table {} is locked by an open transaction of another session", by.lock)?,
            None => write!(f, "{} is held by an open transaction of another session", self.what)?,
        }
        self.by.as_ref().map_or(Ok(()), |by| write!(f, " ({by})"))
    }
}

/// All locked things of one call. The other parts of the call were done.
#[derive(Debug)]
pub struct LockedOut {
    /// What the call was doing.
    pub doing: &'static str,
    /// At least one, in order.
    pub held: Vec<Locked>,
    /// The answers to enqueued jobs, `None` for locked jobs. Empty for other calls.
    pub accepted: Vec<Option<Enqueued>>,
}

impl fmt::Display for LockedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.doing)?;
        for (nth, held) in self.held.iter().take(HOLDERS_MAX).enumerate() {
            write!(f, "{}{held}", if nth == 0 { ": " } else { "; " })?;
        }
        match self.held.len().saturating_sub(HOLDERS_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

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

/// Tries the tasks until all are done or `lock_timeout` is over, counted from `begun`, the start of the call. Then tries the first blocked tasks once more, to find
/// the sessions that hold the locks.
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

    /// The answer of one more attempt in a transaction of its own, and the session that the attempt waited for.
    async fn try_and_find_holder<T: Lockable>(
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
                Err(_) if holder.is_some() => {}
                Err(_) => {
                    let query = sqlx::query(include_str!("../sql/waits_for.sql")).bind(pid);
                    let row = query.fetch_optional(&self.bounded).await;
                    *holder = row.ok().flatten().and_then(|row| Holder::of(&row));
                }
            }
        }
    }
}

impl Holder {
    /// From a row of waits_for.sql. The holder only appears in messages, so a row that cannot be decoded is ignored.
    pub(crate) fn of(row: &sqlx::postgres::PgRow) -> Option<Self> {
        Some(Self {
            lock: row.try_get("lock").ok()?,
            pid: row.try_get("pid").ok()?,
            application: row.try_get("application").ok()?,
            state: row.try_get("state").ok()?,
            open_s: row.try_get("open_s").ok()?,
        })
    }
}
