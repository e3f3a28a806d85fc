//! The pool, for statements that answer soon or never.
//!
//! A connection can be dead without a word: a firewall forgot it, or the machine at the other end is gone. The driver
//! waits for its answer for ever, and with it a worker would for ever hold results that others could have written. So
//! an answer has its time, and a connection that still owes one is closed and never used again, also when whoever
//! asked has gone away.

use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use std::{io, time::Duration};
use tokio::{
    runtime::Handle,
    time::{error::Elapsed, timeout},
};

/// The pool, and how long an answer may take. An executor like the pool itself, for small answers: each is read to its
/// end before any of it is passed on.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pool: PgPool,
    within: Duration,
}

/// A connection in use. Closed when it is dropped with an answer outstanding.
pub(crate) struct Asked {
    pub(crate) connection: PoolConnection<Postgres>,
    within: Duration,
    is_owed: bool,
}

impl Bounded {
    pub(crate) fn new(pool: PgPool, within: Duration) -> Self {
        Self { pool, within }
    }

    /// A connection for one question.
    pub(crate) async fn ask(&self) -> Result<Asked, Error> {
        Ok(Asked { connection: self.pool.acquire().await?, within: self.within, is_owed: true })
    }
}

impl Asked {
    /// What came of the question: an answer, or none in time.
    /// `failed` puts the latter into words.
    pub(crate) fn conclude<T, E>(
        &mut self,
        answer: Result<Result<T, E>, Elapsed>,
        failed: impl FnOnce(Error) -> E,
    ) -> Result<T, E> {
        let Ok(answer) = answer else {
            let text = format!("no answer within {} ms", self.within.as_millis());
            return Err(failed(Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))));
        };
        self.is_owed = false;
        answer
    }

    /// How long an answer may take.
    pub(crate) const fn within(&self) -> Duration {
        self.within
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_owed {
            self.connection.close_on_drop();
        } else if let Ok(runtime) = Handle::try_current() {
            // The pool asks a connection that comes back whether it still stands, and waits for that for ever too: then its
            // place would never be free again.
            runtime.spawn(timeout(self.within, self.connection.return_to_pool()));
        }
    }
}

impl<'p> Executor<'p> for &'_ Bounded {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let bounded = self.clone();
        let whole = async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(asked.within, asked.connection.fetch_many(query).try_collect::<Vec<_>>()).await;
            asked.conclude(answer, |error| error)
        };
        stream::once(whole).map_ok(|parts| stream::iter(parts.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let bounded = self.clone();
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(asked.within, asked.connection.fetch_optional(query)).await;
            asked.conclude(answer, |error| error)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(asked.within, asked.connection.prepare_with(sql, parameters)).await;
            asked.conclude(answer, |error| error)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let bounded = self.clone();
        Box::pin(async move {
            let mut asked = bounded.ask().await?;
            let answer = timeout(asked.within, asked.connection.describe(sql)).await;
            asked.conclude(answer, |error| error)
        })
    }
}
