//! Statements that commit by themselves: each has its time, and its way through a pooler.
//!
//! A connection can be dead without a word: a firewall forgot it, or the machine at the other end is gone. The driver
//! waits for its answer for ever, and with it a worker would for ever hold results that others could have written. So
//! an answer has its time, and a connection that still owes one is closed and never used again, also when whoever
//! asked has gone away.
//!
//! The driver sends a statement in two steps: it has it prepared, and when that is answered, has it executed. A pooler
//! in transaction mode may give the steps to two connections of the server. So there each statement is sent without a
//! name and in a transaction of its own, which holds the connection from the first step to the last.
//!
//! Those that workers send all the time are planned once: planning a claim anew takes as long as a tenth of its jobs. What
//! is asked now and then is planned each time, for its very parameters.

use crate::{
    connect::Pooler,
    pool::{Connection, Pool},
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Error, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use std::{io, time::Duration};
use tokio::time::{error::Elapsed, timeout};

pub(crate) const BEGIN: &str = include_str!("../sql/pooled_begin.sql");
pub(crate) const COMMIT: &str = include_str!("../sql/pooled_commit.sql");
const ROLLBACK: &str = include_str!("../sql/pooled_rollback.sql");

/// When a statement is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// Once a connection, for any parameters.
    Once,
    /// Each time, for its parameters.
    EachTime,
}

/// The pool, and how long an answer may take. An executor, for small answers: each is read to its end before any of it is
/// passed on.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pool: Pool,
    pooler: Pooler,
    planned: Planned,
    within: Duration,
}

/// A connection that was asked something.
struct Asked {
    connection: Connection,
    pooler: Pooler,
    within: Duration,
}

/// A query as it is sent: a plan can only be kept under a name.
struct Sent<E> {
    query: E,
    has_name: bool,
}

impl Bounded {
    pub(crate) const fn new(pool: Pool, pooler: Pooler, planned: Planned, within: Duration) -> Self {
        Self { pool, pooler, planned, within }
    }

    /// How long an answer may take.
    pub(crate) const fn within(&self) -> Duration {
        self.within
    }

    /// A connection for one question.
    async fn ask(&self) -> Result<Asked, Error> {
        let connection = self.pool.acquire().await?;
        Ok(Asked { connection, pooler: self.pooler, within: self.within })
    }

    fn sent<E>(&self, query: E) -> Sent<E> {
        Sent { query, has_name: self.pooler == Pooler::None && self.planned == Planned::Once }
    }
}

impl Asked {
    /// Before the question.
    async fn begin(&mut self) -> Result<(), Error> {
        match self.pooler {
            Pooler::None => Ok(()),
            Pooler::Transaction => sqlx::raw_sql(BEGIN).execute(self.connection.postgres()).await.map(drop),
        }
    }

    /// After its answer. Of two errors the first one says why, and after one the connection is not used again: it may say
    /// that this server is no longer the one to talk to.
    async fn end<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        let closing = match (self.pooler, &answer) {
            (Pooler::None, _) => None,
            (Pooler::Transaction, Ok(_)) => Some(COMMIT),
            (Pooler::Transaction, Err(_)) => Some(ROLLBACK),
        };
        let ended = match closing {
            None => Ok(()),
            Some(closing) => sqlx::raw_sql(closing).execute(self.connection.postgres()).await.map(drop),
        };
        let answer = answer.and_then(|answer| ended.map(|()| answer));
        self.connection.is_owed = answer.is_err();
        answer
    }

    /// What came of the question: an answer, or none in time.
    fn conclude<T>(&self, answer: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        answer.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", self.within.as_millis());
            Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        })
    }
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Sent<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.has_name && self.query.persistent()
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
            let mut asked = bounded.ask().await?;
            let answer = timeout(bounded.within, async {
                asked.begin().await?;
                let answer = asked.connection.postgres().fetch_many(query).try_collect::<Vec<_>>().await;
                asked.end(answer).await
            });
            let answer = answer.await;
            asked.conclude(answer)
        };
        stream::once(whole).map_ok(|parts| stream::iter(parts.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let (bounded, query) = (self.clone(), self.sent(query));
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(bounded.within, async {
                asked.begin().await?;
                let answer = asked.connection.postgres().fetch_optional(query).await;
                asked.end(answer).await
            });
            let answer = answer.await;
            asked.conclude(answer)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(bounded.within, async {
                asked.begin().await?;
                let answer = asked.connection.postgres().prepare_with(sql, parameters).await;
                asked.end(answer).await
            });
            let answer = answer.await;
            asked.conclude(answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(bounded.within, async {
                asked.begin().await?;
                let answer = asked.connection.postgres().describe(sql).await;
                asked.end(answer).await
            });
            let answer = answer.await;
            asked.conclude(answer)
        })
    }
}
