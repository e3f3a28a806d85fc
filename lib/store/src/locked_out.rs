//! Locks of other sessions that lasted too long, and the sessions that hold them, for errors.

use crate::explained::Explained;
use leasehold_ports::Enqueued;
use sqlx::{Error, Row};
use std::fmt;

/// The number of locked rows or keys for which we search for the holder. Usually one transaction holds all of them.
pub(crate) const HOLDERS_MAX: usize = 3;

/// A session that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of pg_stat_activity")]
#[non_exhaustive]
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

/// One locked row or key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locked {
    /// Its index among the rows and keys of the call, from 0.
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

impl Locked {
    /// The same thing of a call whose first `count` things were sent before.
    #[doc(hidden)]
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self { nth: count + self.nth, ..self }
    }
}

/// All locked rows and keys of one call. The other parts of the call were done.
#[derive(Debug)]
#[non_exhaustive]
pub struct LockedOut {
    /// The action of the call.
    pub doing: &'static str,
    /// At least one, in order.
    pub held: Vec<Locked>,
    /// The answers to enqueued jobs, `None` for locked jobs. Empty for other calls.
    pub accepted: Vec<Option<Enqueued>>,
}

impl LockedOut {
    /// The locked things of a call, for the client.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(doing: &'static str, held: Vec<Locked>, accepted: Vec<Option<Enqueued>>) -> Self {
        Self { doing, held, accepted }
    }
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

/// The tables that were locked when a statement had waited too long.
#[derive(Debug)]
pub(crate) struct LockedTables(pub(crate) Vec<Locked>);

/// The tables that were locked when this statement had waited too long; `None` if the error has another reason.
pub(crate) fn locked_tables(error: &Error) -> Option<Vec<Locked>> {
    let explained = error.as_database_error()?.try_downcast_ref::<Explained<LockedTables>>()?;
    Some(explained.known.0.clone())
}
