//! Locks on whole tables: who holds them, for the errors of commands that read.

use crate::{
    connect::Store,
    error::Error,
    locked_out::{Holder, Locked, LockedOut},
};

impl Store {
    /// The tables that nobody can read or write now because another session has locked them. Empty if the server does not answer.
    pub async fn table_locks(&self) -> Vec<Locked> {
        let rows = sqlx::query(include_str!("../sql/table_locks.sql")).fetch_all(&self.bounded).await;
        let holders = rows.iter().flatten().filter_map(Holder::of).enumerate();
        holders.map(|(nth, by)| Locked { nth, what: by.lock.clone(), by: Some(by) }).collect()
    }

    /// The same error; or, if the call waited too long for a lock and somebody holds a lock on a whole table, an error that names
    /// the session.
    pub(crate) async fn name_table_locks(&self, doing: &'static str, error: Error) -> Error {
        if !error.may_be_locked() {
            return error;
        }
        let held = self.table_locks().await;
        if held.is_empty() {
            return error;
        }
        Error::Locked(Box::new(LockedOut { doing, held, accepted: Vec::new() }))
    }
}
