//! The servers that a URL names. One of them takes writes, and after a failover that is another one.

use sqlx::{ConnectOptions, Connection, Error, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use std::{
    future::Future,
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::timeout;

/// How one server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// For statements that commit by themselves, with our settings.
    pub(crate) own: PgConnectOptions,
    /// For a caller's own transactions.
    pub(crate) transactions: PgConnectOptions,
}

/// Connects to the server that takes writes.
#[derive(Debug)]
pub(crate) struct Servers {
    servers: Vec<Server>,
    /// The one that took writes last.
    chosen: AtomicUsize,
    /// Follows to another server.
    transactions: PgPool,
    /// How long all of them may take to answer.
    within: Duration,
}

impl Servers {
    pub(crate) fn new(servers: Vec<Server>, chosen: usize, transactions: PgPool, within: Duration) -> Self {
        Self { servers, chosen: AtomicUsize::new(chosen), transactions, within }
    }

    /// A connection to the server that takes writes. If none does, to one that answers: it says itself that it takes none.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        if let [server] = self.servers.as_slice() {
            return server.own.connect().await;
        }
        // Whoever is asked first has most of the time: it is nearly always the right one, and a machine that is gone does not
        // even refuse.
        let share = self.within / 2 / u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        let chosen = self.chosen.load(Relaxed);
        let mut reader = None;
        let mut first_error = None;
        for index in (chosen..self.servers.len()).chain(0..chosen) {
            match in_time(share, connect_and_ask(&self.servers[index].own)).await {
                Ok((connection, true)) => {
                    if index != chosen {
                        self.chosen.store(index, Relaxed);
                        self.transactions.set_connect_options(self.servers[index].transactions.clone());
                    }
                    return Ok(connection);
                }
                Ok((connection, false)) => reader = reader.or(Some(connection)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match (reader, first_error) {
            (Some(connection), _) => Ok(connection),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::PoolClosed),
        }
    }
}

/// The first of several servers that answers and takes writes; if there is none, the first.
pub(crate) async fn choose(servers: &[PgConnectOptions], within: Duration) -> usize {
    if servers.len() > 1 {
        for (index, server) in servers.iter().enumerate() {
            if let Ok((connection, true)) = in_time(within, connect_and_ask(server)).await {
                let _ = connection.close().await;
                return index;
            }
        }
    }
    0
}

/// A connection, and whether it takes writes.
async fn connect_and_ask(server: &PgConnectOptions) -> Result<(PgConnection, bool), Error> {
    let mut connection = server.connect().await?;
    let row = sqlx::raw_sql(include_str!("../sql/takes_writes.sql")).fetch_one(&mut connection).await?;
    let takes_writes = row.try_get(0)?;
    Ok((connection, takes_writes))
}

async fn in_time<T>(within: Duration, connecting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer")));
    timeout(within, connecting).await.unwrap_or_else(late)
}
