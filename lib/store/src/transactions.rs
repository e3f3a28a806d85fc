//! Transactions of several statements.

use crate::{connect::Store, error::Error};
use std::{io, time::Duration};
use tokio::time::timeout;

impl Store {
    /// The answer of work that begins a transaction. Whoever waits for it may go away, and after `within` it is an error; the work
    /// itself always runs to its end. If `begin` is dropped half-way, `sqlx` may return a connection with an open transaction to the
    /// pool (its issue 4393).
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
