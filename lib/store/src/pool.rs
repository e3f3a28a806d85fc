//! Connections for statements that commit by themselves: how they are made, kept, and thrown away.
//!
//! The one that was used last is used next, so that a process has no more of them at work than it has statements at once.
//! Each costs the server what its catalog caches and plans take to build, some 10 ms of CPU, and a pool that goes round
//! its connections pays that for all of them. The driver's own pool does go round, and asks each that comes back whether
//! it still stands, which is a second round trip for every statement.

use crate::error::code_of;
use deadpool::managed::{self, Metrics, Object, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{ConnectOptions, Connection as _, Error, PgConnection, postgres::PgConnectOptions};
use std::{io, time::Duration};
use tokio::time::{interval, sleep, timeout};

/// A connection that has lain idle for longer is asked whether it still stands before it is used:
/// a restart of the server must not cost each connection one failed statement.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// One that nothing was asked of for this long is closed.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// How often those are looked for.
const LOOKED_FOR_EVERY: Duration = Duration::from_mins(1);
/// None is used for longer, so that a process finds back to a server that was away for a while.
const OLDEST: Duration = Duration::from_mins(30);
/// Before the second attempt to reach a server that is starting up, and at most between two.
const CONNECT_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Connections that statements share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: managed::Pool<Manager>,
    acquire_timeout: Duration,
}

#[derive(Debug)]
struct Manager {
    options: PgConnectOptions,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Gone when this is dropped.
    kept: Option<Object<Manager>>,
    /// It has yet to answer well: if it is dropped like that, it is closed.
    pub(crate) is_owed: bool,
}

impl Pool {
    /// Connects when the first statement wants to.
    pub(crate) fn new(options: PgConnectOptions, max_connections: u32, acquire_timeout: Duration) -> Self {
        let config = PoolConfig { queue_mode: QueueMode::Lifo, ..PoolConfig::new(max_connections as usize) };
        let inner = managed::Pool::builder(Manager { options }).config(config).build();
        let inner = inner.expect("a pool without time limits of its own can be built");
        let pool = inner.weak();
        tokio::spawn(async move {
            let mut minutes = interval(LOOKED_FOR_EVERY);
            loop {
                minutes.tick().await;
                let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
                pool.retain(|_, metrics| metrics.last_used() < KEPT_FOR);
            }
        });
        Self { inner, acquire_timeout }
    }

    /// A connection, within the time that there is for it.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        match timeout(self.acquire_timeout, self.inner.get()).await {
            Ok(Ok(connection)) => Ok(Connection { kept: Some(connection), is_owed: true }),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// Closes all connections: those in use when they are given back.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

impl Connection {
    pub(crate) fn postgres(&mut self) -> &mut PgConnection {
        self.kept.as_mut().expect("it is here until this is dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(connection) = self.kept.take().filter(|_| self.is_owed) {
            drop(Object::take(connection));
        }
    }
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = Error;

    /// Waits for a server that is starting up for as long as whoever wants the connection does.
    async fn create(&self) -> Result<PgConnection, Error> {
        let (mut pause, longest) = CONNECT_AGAIN;
        loop {
            match self.options.connect().await {
                Err(error) if is_starting(&error) => sleep(pause).await,
                connected => return connected,
            }
            pause = longest.min(pause * 2);
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<Error> {
        if metrics.age() > OLDEST {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > TRUSTED_FOR {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Nobody listens there yet, the server says that it is starting, or that it has no connection left (53300).
fn is_starting(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        error => matches!(code_of(error).as_deref(), Some("57P03" | "53300")),
    }
}
