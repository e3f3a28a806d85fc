//! The sessions that hold locks on whole tables, and on the rows of jobs, for errors.
//!
//! A statement waits for a locked table before it can set its own lock timeout. It then waits for the lock timeout of its
//! connection, and its error names the sessions that lock tables: see [`name_holders`].

use crate::{
    connect::Store,
    error::code_of,
    explained::Explained,
    locked_out::{HOLDERS_MAX, Holder, Locked, LockedTables},
    row::uuids,
};
use leasehold_core::JobId;
use sqlx::{Error, PgConnection, Row, postgres::PgRow};

const TABLE_LOCKS: &str = include_str!("../sql/table_locks.sql");

impl Store {
    /// The tables that cannot be read or written now because another session has locked them. Empty if the server does not
    /// answer.
    pub async fn table_locks(&self) -> Vec<Locked> {
        locked(&sqlx::query(TABLE_LOCKS).fetch_all(&self.bounded).await.unwrap_or_default())
    }

    /// The sessions whose transactions have locked the rows of these jobs, each once. Empty if the server does not answer: the
    /// sessions only appear in messages.
    pub async fn job_holders(&self, ids: &[JobId]) -> Vec<Holder> {
        let holder = |row: PgRow| {
            let application: Option<String> = row.try_get("application")?;
            Ok(Holder {
                lock: "transactionid".to_owned(),
                pid: row.try_get("pid")?,
                application: application.unwrap_or_else(|| "?".to_owned()),
                state: row.try_get("state")?,
                open_s: row.try_get("open_s")?,
            })
        };
        let statement = sqlx::query(crate::statement::statement!("lockers")).bind(uuids(ids)).try_map(holder);
        let mut holders = statement.fetch_all(&self.bounded).await.unwrap_or_default();
        holders.sort_by_key(|holder| (-holder.open_s, holder.pid));
        holders.dedup_by_key(|holder| holder.pid);
        holders.truncate(HOLDERS_MAX);
        holders
    }
}

fn locked(rows: &[PgRow]) -> Vec<Locked> {
    let holders = rows.iter().filter_map(Holder::of).enumerate();
    holders.map(|(nth, by)| Locked { nth, what: by.lock.clone(), by: Some(by) }).collect()
}

/// Whether a lock on a whole table may be the reason of this error: a lock timeout (55P03), or a statement timeout (57014).
pub(crate) fn may_be_why(error: &Error) -> bool {
    matches!(code_of(error).as_deref(), Some("55P03" | "57014"))
}

/// The same error, with the sessions that lock whole tables now, if there are any. Asks on the connection of the statement: no other
/// connection may be free.
pub(crate) async fn name_holders(error: Error, connection: &mut PgConnection) -> Error {
    // One message with one answer: this also works through a pooler, outside of a transaction.
    let held = locked(&sqlx::raw_sql(TABLE_LOCKS).fetch_all(connection).await.unwrap_or_default());
    match error {
        Error::Database(source) if !held.is_empty() => {
            Explained::error(source.message().to_owned(), LockedTables(held), source)
        }
        error => error,
    }
}
