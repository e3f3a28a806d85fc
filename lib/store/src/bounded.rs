//! Statements that commit by themselves: each has its time, and its way through a pooler.
//!
//! A connection can be dead without a word: a firewall forgot it, or the machine at the other end is gone. The driver
//! waits for its answer for ever, and with it a worker would for ever hold results that others could have written. So
//! an answer has its time, and a connection that still owes one is closed and never used again, also when whoever
//! asked has gone away.
//!
//! A statement can also wait for long at the server, for a row that somebody has locked. The server ends it a little before
//! the client gives up (`statement_timeout`): the client is told why, keeps its connection, and no statement goes on for
//! nobody. When a caller goes away earlier, its connection is closed, and the server notices that within
//! `CONNECTION_CHECKED_EVERY`; the place of that connection in the pool is free only after it.
//!
//! The driver sends a statement in two steps: it has it prepared, and when that is answered, has it executed. A pooler
//! in transaction mode may give the steps to two connections of the server. So there each statement is sent without a
//! name and in a transaction of its own, which holds the connection from the first step to the last.
//!
//! Those that workers send all the time have a name, and are planned once for a connection: to plan a claim takes a tenth
//! of the time that it takes. What is asked now and then, and is best done in one way or the other depending on what is
//! asked, goes the way of a pooler too, and is planned for its very parameters.

use crate::{
    error::{is_rolled_back, leaves_connection_fit},
    pool::{Connection, Fitness, Pool},
    statement_timeout::{explain, is_cancelled},
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Describe, Either, Error, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use std::{io, sync::Arc, time::Duration};
use tokio::time::{error::Elapsed, timeout};

pub(crate) const COMMIT: &str = include_str!("../sql/pooled_commit.sql");
const ROLLBACK: &str = include_str!("../sql/pooled_rollback.sql");

/// How the server gives up a statement before the client gives up its answer: with a tenth of the time left, in which the
/// error comes back and the transaction is rolled back.
pub(crate) fn statement_timeout(within: Duration) -> Duration {
    within * 9 / 10
}

/// Begins a transaction with its settings, each statement of which has a statement timeout. `limits_transactions`: the
/// server knows a limit for whole transactions too, which a database or a role may have set.
pub(crate) fn begin(statement_timeout: Duration, limits_transactions: bool) -> Arc<str> {
    let limit = statement_timeout.as_millis().to_string();
    let mut begin = include_str!("../sql/pooled_begin.sql").trim_end().replace("$LIMIT", &limit);
    if limits_transactions {
        begin += include_str!("../sql/pooled_begin_17.sql");
    }
    begin.into()
}

/// How often a statement is sent that the server rolls back for others' sake. It changed nothing then, and says nothing
/// about the server: it is no failure until it is so each time.
const TRIES: u32 = 5;

/// In which form statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each by itself and with a name, under which its plan is kept: one round trip.
    Named,
    /// Without a name, in a transaction of its own with its settings: four round trips.
    InTransaction,
}

/// The pool, and how long an answer may take. An executor, for small answers: each is read to its end before any of it is
/// passed on.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pool: Pool,
    form: Form,
    within: Duration,
    /// Begins a transaction with these limits.
    begin: Arc<str>,
}

/// A connection that was asked something.
struct Asked {
    connection: Connection,
    bounded: Bounded,
    /// It took longer than statements usually may, and may.
    takes_long: bool,
}

/// A query in its form. It can be sent again.
#[derive(Clone)]
struct Sent {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
}

/// Asks, and asks again where the server rolled the statement back.
macro_rules! answer {
    ($bounded:ident, $connection:ident => $answer:expr) => {{
        let mut asked = $bounded.ask().await?;
        let answer = timeout($bounded.within, async {
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
    pub(crate) fn new(pool: Pool, form: Form, within: Duration, limits_transactions: bool) -> Self {
        Self { pool, form, within, begin: begin(statement_timeout(within), limits_transactions) }
    }

    /// Closes its connections: those in use when they are given back.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Closes the connections that nobody uses at the moment.
    pub(crate) fn forget_connections(&self) {
        self.pool.forget_connections();
    }

    /// How many statements the server rolled back for others' sake.
    pub(crate) fn rollbacks(&self) -> u64 {
        self.pool.rollbacks()
    }

    /// How long an answer may take.
    pub(crate) const fn within(&self) -> Duration {
        self.within
    }

    /// A connection for one question.
    async fn ask(&self) -> Result<Asked, Error> {
        let connection = self.pool.acquire().await?;
        Ok(Asked { connection, bounded: self.clone(), takes_long: false })
    }

    fn sent<'q>(&self, mut query: impl Execute<'q, Postgres>) -> Result<Sent, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = self.form == Form::Named && query.persistent();
        Ok(Sent { sql: query.sql(), arguments, persistent })
    }
}

impl Asked {
    /// Before the question. Only what was seen to take long has its longer limit set: to set it each time, and the usual one
    /// for the next statement, would be two more statements for each that may take long and does not.
    async fn begin(&mut self) -> Result<(), Error> {
        let limit = statement_timeout(self.bounded.within);
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
        begun
    }

    /// After its answer. Of two errors the first one says why. What the server said against a statement says nothing
    /// against the connection, but some errors say that this server is no longer the one to talk to.
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
        answer.map_err(|error| explain(error, statement_timeout(self.bounded.within)))
    }

    /// Whether the same is to be asked once more.
    fn is_sent_again<T>(&mut self, answer: &Result<T, Error>, tries: &mut u32) -> bool {
        let Err(error) = answer else { return false };
        let may_take_longer = self.connection.statement_timeout() < statement_timeout(self.bounded.within);
        if self.bounded.form == Form::Named && is_cancelled(error) && may_take_longer && !self.takes_long {
            self.takes_long = true;
            self.connection.fitness = Fitness::Asked;
            return true;
        }
        if !is_rolled_back(error) {
            return false;
        }
        self.bounded.pool.count_rollback();
        *tries += 1;
        let again = *tries <= TRIES && self.connection.fitness == Fitness::Fit;
        if again {
            self.connection.fitness = Fitness::Asked;
        }
        again
    }

    /// What came of the question: an answer, or none in time.
    fn conclude<T>(&self, answer: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        answer.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", self.bounded.within.as_millis());
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

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move { answer!(bounded, connection => connection.describe(sql.clone())) })
    }
}
