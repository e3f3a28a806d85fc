//! elect: the election of one process, on a separate connection.

use crate::{
    bounded::{COMMIT, ROLLBACK, begin, statement_timeout},
    connect::Store,
    error::Error,
    servers::Servers,
};
use async_trait::async_trait;
use leasehold_ports::{ELECTED_FOR, Election};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{io, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

const DOING: &str = "electing the reaper that writes about pods";

/// Elects one process by a lock of PostgreSQL. The connection is in no pool: an elected process holds it between two questions.
#[derive(Debug)]
pub struct ElectionByPostgres {
    servers: Arc<Servers>,
    within: Duration,
    /// Begins a transaction and asks for the lock.
    ask: Arc<str>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    connection: PgConnection,
    /// The connection has the lock, in an open transaction.
    is_elected: bool,
}

impl Store {
    /// An election. This process is a candidate while it asks. The process is not elected any more when the value is dropped.
    #[must_use]
    pub fn election(&self) -> ElectionByPostgres {
        let within = self.bounded.within();
        let begin = begin(statement_timeout(within), self.lock_timeout, self.knows_transaction_timeout);
        let elect = include_str!("../sql/elect.sql").replace("$ELECTED_FOR", &ELECTED_FOR.as_millis().to_string());
        let ask = format!("{begin};\n{elect}").into();
        ElectionByPostgres { servers: Arc::clone(&self.servers), within, ask, held: Mutex::default() }
    }
}

impl ElectionByPostgres {
    async fn ask(&self) -> Result<bool, sqlx::Error> {
        let mut held = self.held.lock().await;
        // The connection is out of `held` until it has answered. If the caller goes away, it is closed, and the lock is free.
        if let Some(kept) = held.take()
            && let Ok(kept) = self.ask_on(kept).await
        {
            *held = kept;
            return Ok(held.as_ref().is_some_and(|held| held.is_elected));
        }
        let connection = self.servers.connect().await?;
        *held = self.ask_on(Held { connection, is_elected: false }).await?;
        Ok(held.as_ref().is_some_and(|held| held.is_elected))
    }

    /// `None`: this server takes no writes.
    async fn ask_on(&self, mut held: Held) -> Result<Option<Held>, sqlx::Error> {
        let mut text = self.ask.to_string();
        if held.is_elected {
            // COMMIT and BEGIN are one message: another process can be elected between them only if it asks at the same moment.
            text = format!("{};\n{text}", COMMIT.trim_end());
        }
        let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(&mut held.connection).await?;
        let Some(is_elected) = row.try_get::<Option<bool>, _>("is_elected")? else { return Ok(None) };
        held.is_elected = is_elected;
        if !is_elected {
            sqlx::raw_sql(ROLLBACK).execute(&mut held.connection).await?;
        }
        Ok(Some(held))
    }
}

#[async_trait]
impl Election for ElectionByPostgres {
    async fn stand(&self) -> Result<bool, leasehold_ports::Error> {
        let answer = timeout(self.within, self.ask()).await.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", self.within.as_millis());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        });
        Ok(answer.map_err(Error::sql(DOING))?)
    }

    async fn resign(&self) {
        // A process without its connection is not elected.
        *self.held.lock().await = None;
    }
}
