//! Transactions of several statements.

use crate::{connect::Store, error::Error};
use sqlx::{Postgres, Transaction};
use std::{io, time::Duration};
use tokio::time::timeout;

impl Store {
    /// Begins a transaction of several statements, each of which waits for a lock for `database.lock_timeout_ms` at most. A pool
    /// that callers also use for their own transactions sets no such limit.
    pub(crate) async fn transaction(&self, doing: &'static str) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.transactions.begin().await.map_err(Error::sql(doing))?;
        let limit = format!("{}ms", self.lock_timeout.as_millis());
        let limit = sqlx::query(include_str!("../sql/lock_timeout.sql")).bind(limit).persistent(false);
        limit.execute(&mut *transaction).await.map_err(Error::sql(doing))?;
        Ok(transaction)
    }

    /// The answer of work that begins a transaction. The caller may stop waiting, and gets an error after `within`; the work
    /// itself always runs to its end. If `begin` is dropped half-way, `sqlx` may return a connection with an open transaction to
    /// the pool (its issue 4393).
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        doing: &'static str,
        within: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |text: String| {
            let error = io::Error::new(io::ErrorKind::TimedOut, text);
            Err(Error::sql(doing)(sqlx::Error::Io(error)))
        };
        match timeout(within, tokio::spawn(work)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(Err(_)) => failed("the program ends".to_owned()),
            Err(_) => failed(format!("no answer within {} ms", within.as_millis())),
        }
    }
}
