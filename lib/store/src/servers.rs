//! The servers in a URL. One server takes writes; after a failover, another server takes writes.

use sqlx::{ConnectOptions, Connection, Error, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use std::{
    future::Future,
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::timeout;

/// Connect options for one server.
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
    /// The index of the server that last took writes.
    chosen: AtomicUsize,
    /// The pool for callers' transactions, which is pointed to another server after a failover.
    transactions: PgPool,
    /// The timeout for all servers together.
    within: Duration,
}

impl Servers {
    pub(crate) fn new(servers: Vec<Server>, chosen: usize, transactions: PgPool, within: Duration) -> Self {
        Self { servers, chosen: AtomicUsize::new(chosen), transactions, within }
    }

    /// A connection to the server that takes writes. If no server takes writes, a connection to a server that answers;
    /// the caller then learns from this server that it takes no writes.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        if let [server] = self.servers.as_slice() {
            return server.own.connect().await;
        }
        // The first server gets most of the time: it is nearly always the right server, and a machine that has
        // disappeared does not even refuse connections.
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

/// The first of several servers that answers and takes writes. If there is none, the first server.
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

/// A connection, and whether its server takes writes.
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
