//! What somebody's open transaction keeps us from, and who that is.
//!
//! A row that somebody else has locked, and a key that a transaction has inserted and not committed, can be waited for only.
//! A statement of many jobs does that for a moment. If that was not enough, each job is tried by itself, again and again: so
//! those that nobody holds are done at once, no statement waits at the server, and what is held for longer than
//! `database.lock_timeout_ms` is an error that names it.

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

/// How long a statement of many jobs waits for a lock: far longer than an ordinary statement of others has it.
pub(crate) const AT_FIRST: &str = "200ms";
/// The same for one job by itself, which is tried again.
pub(crate) const BY_ITSELF: &str = "20ms";
/// The same while it is looked who has the lock.
pub(crate) const WATCHED: &str = "400ms";
/// Between two tries, and between two looks.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For so many of what is held it is looked who has it. Mostly it is one transaction that holds all of them.
const LOOKED_AT: usize = 3;

/// A session that has what another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of pg_stat_activity")]
pub struct Holder {
    /// What kind of lock, or which table.
    pub lock: String,
    pub pid: i32,
    pub application: String,
    pub state: String,
    /// How long its transaction is open.
    pub open_s: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, application, state, open_s, .. } = self;
        write!(f, "pid {pid}, application {application}, {state}, open for {open_s} s")
    }
}

/// One thing that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Which of what was sent, from 0.
    pub nth: usize,
    /// In words: a unique key, an id, a queue.
    pub what: String,
    /// Who has it, if that could be found out.
    pub by: Option<Holder>,
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by an open transaction of another session", self.what)?;
        self.by.as_ref().map_or(Ok(()), |by| write!(f, " ({by})"))
    }
}

/// All that is held, of one call. The rest of it was done.
#[derive(Debug)]
pub struct LockedOut {
    /// What was being done.
    pub doing: &'static str,
    /// At least one, in order.
    pub held: Vec<Locked>,
    /// The answers to enqueued jobs, none for those that are held. Empty for other calls.
    pub accepted: Vec<Option<Enqueued>>,
}

impl fmt::Display for LockedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.doing)?;
        for (nth, held) in self.held.iter().take(LOOKED_AT).enumerate() {
            write!(f, "{}{held}", if nth == 0 { ": " } else { "; " })?;
        }
        match self.held.len().saturating_sub(LOOKED_AT) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Several things to be done, some of which others may hold. Each has a number.
#[async_trait]
pub(crate) trait Tried: Sync {
    /// What is answered for one of them.
    type Answer: Send;

    /// Does what it can of these, and answers which are still held.
    async fn each(&self, left: Vec<usize>) -> Result<Tries<Self::Answer>, Error>;

    /// One of them in a transaction, which has its own time limit for locks. `None`: there is nothing to be done any more.
    async fn one(&self, connection: &mut PgConnection, nth: usize) -> Result<Option<Self::Answer>, Error>;
}

/// What was done, and what is still held.
pub(crate) struct Tries<T, H = usize> {
    pub(crate) done: Vec<(usize, T)>,
    pub(crate) held: Vec<H>,
}

impl<T, H> Default for Tries<T, H> {
    fn default() -> Self {
        Self { done: Vec::new(), held: Vec::new() }
    }
}

/// What is held, and by whom if that is known.
pub(crate) type Held = (usize, Option<Holder>);

/// Waits for what is held, for a while: tries it until nothing is left or the time is over. Then it is looked who holds the
/// first ones, by one more try.
pub(crate) async fn patiently<T: Tried>(
    store: &Store,
    tried: &T,
    count: usize,
) -> Result<Tries<T::Answer, Held>, Error> {
    let begun = Instant::now();
    let mut tries = Tries::default();
    let mut left: Vec<usize> = (0..count).collect();
    loop {
        let more = tried.each(left).await?;
        tries.done.extend(more.done);
        left = more.held;
        if left.is_empty() || begun.elapsed() >= store.lock_timeout {
            break;
        }
        sleep(AGAIN_AFTER).await;
    }
    for (place, nth) in left.into_iter().enumerate() {
        if place >= LOOKED_AT {
            tries.held.push((nth, None));
            continue;
        }
        match store.watched(tried, nth).await {
            (Ok(answer), _) => tries.done.extend(answer.map(|answer| (nth, answer))),
            (Err(error), holder) if error.is_locked() => tries.held.push((nth, holder)),
            (Err(error), _) => return Err(error),
        }
    }
    Ok(tries)
}

impl Store {
    /// How long what others have locked is waited for, instead of the default of 5 s.
    #[must_use]
    pub fn with_lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self
    }

    /// The answer of one more try in a transaction of its own, and whom it waited for meanwhile.
    async fn watched<T: Tried>(&self, tried: &T, nth: usize) -> (Result<Option<T::Answer>, Error>, Option<Holder>) {
        let mut holder = None;
        let answer = async {
            let sql = || Error::sql("looking who holds a lock");
            let mut transaction = self.transactions.begin().await.map_err(sql())?;
            let limit = sqlx::query(include_str!("../sql/lock_timeout.sql")).bind(WATCHED).persistent(false);
            limit.execute(&mut *transaction).await.map_err(sql())?;
            let pid = sqlx::raw_sql(include_str!("../sql/pid.sql")).fetch_one(&mut *transaction).await;
            let pid: i32 = pid.and_then(|row| row.try_get(0)).map_err(sql())?;
            let answer = self.looking_on(tried.one(&mut transaction, nth), pid, &mut holder).await;
            match answer {
                Ok(answer) => transaction.commit().await.map(|()| answer).map_err(sql()),
                Err(error) => {
                    // The connection goes back to the pool only when the server has ended its transaction.
                    let _ = transaction.rollback().await;
                    Err(error)
                }
            }
        }
        .await;
        (answer, holder)
    }

    async fn looking_on<T>(&self, attempt: impl Future<Output = T>, pid: i32, holder: &mut Option<Holder>) -> T {
        let mut attempt = pin!(attempt);
        loop {
            match timeout(LOOK_EVERY, attempt.as_mut()).await {
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
    /// Of a row of waits_for.sql. It is only to be told: if it cannot be read, nothing is lost.
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
