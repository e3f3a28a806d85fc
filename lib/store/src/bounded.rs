//! Statements that commit by themselves. Each has a timeout, and each works through a pooler.
//!
//! A connection can die silently: a firewall drops it, or the machine at the other end disappears. The driver then waits for an
//! answer for ever, and the worker holds results that other workers could have written. So every answer has a timeout. A
//! connection with an outstanding answer is closed and never used again, also if the caller has stopped waiting.
//!
//! A statement can also wait at the server for a long time, for a row that another session has locked. The server
//! cancels the statement a little before the client gives up (`statement_timeout`): the client learns the reason and
//! keeps its connection, and no statement continues without a client. When a caller stops waiting earlier, its connection is
//! closed. The server notices the closed connection within `CONNECTION_CHECKED_EVERY`; only after that time the connection's
//! slot in the pool is free again.
//!
//! The driver sends a statement in two steps: prepare, then, after the answer, execute. A pooler in transaction mode
//! may send the two steps to two different server connections. So behind a pooler each statement is unnamed and runs in a
//! separate transaction, which holds one server connection from the first step to the last.
//!
//! Statements that workers send all the time are named and are planned once for each connection: planning a claim takes
//! a tenth of the time of the claim. Rare statements whose best plan depends on their parameters are sent in the form
//! for a pooler too: the server plans them for their actual parameters.

use crate::{
    error::{is_rolled_back, leaves_connection_fit},
    pool::{Connection, Fitness, Pool, PoolUsage},
    statement_timeout::{explain, is_cancelled},
    table_locks,
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Either, Error, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{error::Elapsed, timeout};

pub(crate) const COMMIT: &str = include_str!("../sql/pooled_commit.sql");
pub(crate) const ROLLBACK: &str = include_str!("../sql/pooled_rollback.sql");

/// The statement timeout at the server, for an answer timeout at the client. A tenth of the time is left for the error
/// to come back and for the rollback.
pub(crate) fn statement_timeout(within: Duration) -> Duration {
    within * 9 / 10
}

/// The limits of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The answer timeout.
    pub(crate) within: Duration,
    /// The lock timeout. A statement that may run for an hour does not wait for locks that long: an operator who asks what is
    /// wrong must get an answer.
    pub(crate) locks: Duration,
    /// The server knows `transaction_timeout`, which a database or a role may have set.
    pub(crate) knows_transaction_timeout: bool,
}

/// The text that begins a transaction and sets a timeout for each of its statements, and for their locks. `limits_transactions`:
/// the server knows `transaction_timeout`.
pub(crate) fn begin(statement_timeout: Duration, lock_timeout: Duration, limits_transactions: bool) -> Arc<str> {
    let limit = statement_timeout.as_millis().to_string();
    let locks = lock_timeout.as_millis();
    let begin = include_str!("../sql/pooled_begin.sql").trim_end();
    let mut begin = begin.replace("$LIMIT", &limit).replace("$LOCKS", &locks.to_string());
    if limits_transactions {
        begin += include_str!("../sql/pooled_begin_17.sql");
    }
    begin.into()
}

/// How many times a statement is sent when the server rolls it back because of a conflict with another transaction.
/// Such a rollback changed nothing and does not mean that the server has a problem. It is a failure only when each
/// attempt is rolled back.
const TRIES: u32 = 5;

/// How statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each statement has a name, under which the server keeps its plan: one round trip.
    Named,
    /// Each statement is unnamed and runs in a separate transaction with its own settings: four round trips.
    InTransaction,
}

/// The pool and the answer timeout. An executor for small answers: it reads each answer completely before it passes on
/// any part of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pool: Pool,
    form: Form,
    limits: Limits,
    /// The text that begins a transaction with these limits.
    begin: Arc<str>,
}

/// A connection that a statement is using.
struct InFlight {
    connection: Connection,
    bounded: Bounded,
    /// The statement ran longer than the usual timeout, and it may.
    takes_long: bool,
    /// When the statement was sent.
    sent_at: Instant,
}

/// A query in the form in which it is sent. It can be sent again.
#[derive(Clone)]
struct Sent {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
}

/// Sends a statement, and sends it again when the server rolled it back.
macro_rules! answer {
    ($bounded:ident, $connection:ident => $answer:expr) => {{
        let mut asked = $bounded.ask().await?;
        let answer = timeout($bounded.limits.within, async {
            let mut tries = 1;
            loop {
                asked.begin().await?;
                let $connection = asked.connection.postgres();
                let answer = $answer.await;
                let answer = asked.end(answer).await;
                if !asked.is_sent_again(&answer, &mut tries) {
                    break answer;
                }
            }
        });
        let answer = answer.await;
        asked.conclude(answer)
    }};
}

impl Bounded {
    pub(crate) fn new(pool: Pool, form: Form, limits: Limits) -> Self {
        let begin = begin(statement_timeout(limits.within), limits.locks, limits.knows_transaction_timeout);
        Self { pool, form, limits, begin }
    }

    /// Closes the pool's connections. A connection in use is closed when it is returned.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Closes the connections that are idle.
    pub(crate) fn forget_connections(&self) {
        self.pool.forget_connections();
    }

    /// How many statements the server rolled back because of a conflict with another transaction.
    pub(crate) fn rollbacks(&self) -> u64 {
        self.pool.rollbacks()
    }

    /// The connections now.
    pub(crate) fn usage(&self) -> PoolUsage {
        self.pool.usage()
    }

    /// The answer timeout.
    pub(crate) const fn within(&self) -> Duration {
        self.limits.within
    }

    /// A connection for one statement.
    async fn ask(&self) -> Result<InFlight, Error> {
        let connection = self.pool.acquire().await?;
        Ok(InFlight { connection, bounded: self.clone(), takes_long: false, sent_at: Instant::now() })
    }

    fn sent<'q>(&self, mut query: impl Execute<'q, Postgres>) -> Result<Sent, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = self.form == Form::Named && query.persistent();
        Ok(Sent { sql: query.sql(), arguments, persistent })
    }
}

impl InFlight {
    /// Before the statement. The longer timeout is set only after a statement was seen to take long. To set it every time, and
    /// then the usual timeout for the next statement, would cost two more statements for each statement that may take long but
    /// does not.
    async fn begin(&mut self) -> Result<(), Error> {
        let limit = statement_timeout(self.bounded.limits.within);
        let begun = match self.bounded.form {
            Form::Named if self.connection.statement_timeout() > limit || self.takes_long => {
                self.connection.set_statement_timeout(limit).await
            }
            Form::Named => Ok(()),
            Form::InTransaction => {
                let begin = sqlx::raw_sql(AssertSqlSafe(Arc::clone(&self.bounded.begin)));
                begin.execute(self.connection.postgres()).await.map(drop)
            }
        };
        if begun.is_err() {
            self.connection.fitness = Fitness::Unfit;
        }
        self.sent_at = Instant::now();
        begun
    }

    /// After the answer. If there are two errors, the first error shows the cause. An error about a statement says nothing
    /// about the connection, but some errors say that this server is no longer the right one.
    async fn end<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        let closing = match (self.bounded.form, &answer) {
            (Form::Named, _) => None,
            (Form::InTransaction, Ok(_)) => Some(COMMIT),
            (Form::InTransaction, Err(_)) => Some(ROLLBACK),
        };
        let ended = match closing {
            None => Ok(()),
            Some(closing) => sqlx::raw_sql(closing).execute(self.connection.postgres()).await.map(drop),
        };
        let is_fit = match (&answer, &ended) {
            (Ok(_), Ok(())) => true,
            (Err(error), Ok(())) | (Ok(_), Err(error)) => leaves_connection_fit(error),
            (Err(_), Err(_)) => false,
        };
        self.connection.fitness = if is_fit { Fitness::Fit } else { Fitness::Unfit };
        let answer = answer.and_then(|answer| ended.map(|()| answer));
        let limit = statement_timeout(self.bounded.limits.within);
        match answer {
            Err(error) if is_fit && table_locks::may_be_why(&error) && self.has_waited(limit) => {
                Err(table_locks::name_holders(explain(error, limit), self.connection.postgres()).await)
            }
            answer => answer.map_err(|error| explain(error, limit)),
        }
    }

    /// Whether the statement has waited until its lock timeout or its statement timeout. If a statement with a shorter lock
    /// timeout fails, it waited for a row, and the search for locked tables is skipped.
    fn has_waited(&self, statement_timeout: Duration) -> bool {
        self.sent_at.elapsed() >= self.bounded.limits.locks.min(statement_timeout) * 9 / 10
    }

    /// Whether the same statement is sent once more.
    fn is_sent_again<T>(&mut self, answer: &Result<T, Error>, tries: &mut u32) -> bool {
        let Err(error) = answer else { return false };
        let may_take_longer = self.connection.statement_timeout() < statement_timeout(self.bounded.limits.within);
        if self.bounded.form == Form::Named && is_cancelled(error) && may_take_longer && !self.takes_long {
            self.takes_long = true;
            self.connection.fitness = Fitness::InFlight;
            return true;
        }
        if !is_rolled_back(error) {
            return false;
        }
        self.bounded.pool.count_rollback();
        *tries += 1;
        let again = *tries <= TRIES && self.connection.fitness == Fitness::Fit;
        if again {
            self.connection.fitness = Fitness::InFlight;
        }
        again
    }

    /// The result: an answer, or a timeout.
    fn conclude<T>(&self, answer: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        answer.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", self.bounded.limits.within.as_millis());
            Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        })
    }
}

impl<'q> Execute<'q, Postgres> for Sent {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

impl<'p> Executor<'p> for &'_ Bounded {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let (bounded, query) = (self.clone(), self.sent(query));
        let whole = async move {
            let query = query?;
            answer!(bounded, connection => connection.fetch_many(query.clone()).try_collect::<Vec<_>>())
        };
        stream::once(whole).map_ok(|parts| stream::iter(parts.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (bounded, query) = (self.clone(), self.sent(query));
        Box::pin(async move {
            let query = query?;
            answer!(bounded, connection => connection.fetch_all(query.clone()))
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let (bounded, query) = (self.clone(), self.sent(query));
        Box::pin(async move {
            let query = query?;
            answer!(bounded, connection => connection.fetch_optional(query.clone()))
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move { answer!(bounded, connection => connection.prepare_with(sql.clone(), parameters)) })
    }
}
