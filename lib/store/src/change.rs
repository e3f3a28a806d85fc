//! A change of one thing that the open transaction of another session may hold: a queue, a batch, a limit, a schedule. Every
//! command that changes one of these sends its statement through this module. So all such commands wait for the same time and
//! report the lock in the same words.

use crate::{
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
};
use async_trait::async_trait;
use sqlx::{
    PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::Instant;

/// Makes the statement of a change, with this lock timeout.
type Statement<'a, 'q> = dyn Fn(&'static str) -> Query<'q, Postgres, PgArguments> + Sync + 'a;

/// One statement, which is sent until it succeeds.
struct Change<'a, 'q> {
    store: &'a Store,
    doing: &'static str,
    statement: &'a Statement<'a, 'q>,
}

impl Store {
    /// Changes one thing. `what` describes the thing in errors. `statement` makes the statement with this lock timeout, which
    /// the statement sets itself. Waits up to `lock_timeout` for other sessions, in short waits: a statement that waits for one
    /// lock may hold another lock that workers need. Returns the rows of the statement.
    ///
    /// # Errors
    /// [`Error::Locked`] if other sessions hold the thing for longer, with the session at the root of the waits; then nothing
    /// has changed. Or the statement failed.
    pub(crate) async fn change(
        &self,
        doing: &'static str,
        what: impl FnOnce() -> String,
        statement: &Statement<'_, '_>,
    ) -> Result<Vec<PgRow>, Error> {
        let begun = Instant::now();
        let tries = retry_locked(self, &Change { store: self, doing, statement }, 1, begun).await?;
        if let Some((_, rows)) = tries.done.into_iter().next() {
            return Ok(rows);
        }
        let what = what();
        let held = tries.held.into_iter().map(|(nth, by)| Locked { nth, what: what.clone(), by }).collect();
        Err(Error::Locked(Box::new(LockedOut { doing, held, accepted: Vec::new() })))
    }
}

#[async_trait]
impl Lockable for Change<'_, '_> {
    type Answer = Vec<PgRow>;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Vec<PgRow>>, Error> {
        let answer = (self.statement)(BATCH_LOCK_TIMEOUT).fetch_all(&self.store.bounded).await;
        match answer.map_err(Error::sql(self.doing)) {
            Ok(rows) => Ok(Tries { done: vec![(0, rows)], held: Vec::new() }),
            Err(error) if error.is_locked() => Ok(Tries { done: Vec::new(), held: left }),
            Err(error) => Err(error),
        }
    }

    async fn one(&self, connection: &mut PgConnection, _: usize) -> Result<Option<Vec<PgRow>>, Error> {
        let statement = (self.statement)(OBSERVED_LOCK_TIMEOUT).persistent(false);
        statement.fetch_all(connection).await.map(Some).map_err(Error::sql(self.doing))
    }
}
