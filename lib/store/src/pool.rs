//! Connections for statements that commit by themselves: how they are opened, kept and closed.
//!
//! The connection that was used last is used next (LIFO), so that a process uses no more connections than it has
//! concurrent statements. Each connection costs the server about 10 ms of CPU to build its catalog caches and plans,
//! and a pool that uses its connections in rotation pays this for all of them. The driver's own pool does rotate, and
//! it pings each connection that is returned, which is a second round trip for every statement.

use crate::{error::code_of, servers::Servers};
use deadpool::managed::{self, Metrics, Object, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{Connection as _, Error, PgConnection};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{interval, sleep, timeout},
};

/// A connection that was idle for longer is pinged before it is used. Otherwise each connection would cost one failed
/// statement after a restart of the server.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
/// A connection that was idle for this long is closed.
const IDLE_MAX: Duration = Duration::from_mins(10);
/// How often idle connections are closed.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// The maximum age of a connection. It makes a process return to a server that was unavailable for a while.
const AGE_MAX: Duration = Duration::from_mins(30);
/// How often the server checks during a statement whether the client is still connected. Without this check, a
/// statement that waits for a lock continues after its client has closed the connection.
pub(crate) const CONNECTION_CHECKED_EVERY: Duration = Duration::from_millis(250);
/// How long the slot of a connection that was closed during a statement stays taken: until the server has certainly
/// noticed. Otherwise a process whose callers give up would hold more and more connections at the server.
const SLOT_HELD_FOR: Duration = Duration::from_secs(1);
/// Backoff while a server is starting up: before the second attempt, and the maximum.
const CONNECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Connections that statements share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: managed::Pool<Manager>,
    acquire_timeout: Duration,
    /// How many statements the server rolled back because of a conflict.
    rollbacks: Arc<AtomicU64>,
}

/// The connections of this process to PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// Open connections.
    pub open: usize,
    /// Open connections without a statement.
    pub idle: usize,
    /// The most connections.
    pub max: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

#[derive(Debug)]
struct Manager {
    servers: Arc<Servers>,
    /// The timeout that is set when a connection is opened.
    statement_timeout: Duration,
}

/// A connection and its settings.
#[derive(Debug)]
struct Session {
    /// `None` after it was closed during a statement.
    postgres: Option<PgConnection>,
    statement_timeout: Duration,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` only while this value is dropped.
    kept: Option<Object<Manager>>,
    /// Decides what happens to the connection on drop.
    pub(crate) fitness: Fitness,
}

/// Whether a connection can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    /// A statement was sent and not answered yet: the server may still be executing it.
    InFlight,
    /// The last statement was answered.
    Fit,
    /// The connection failed.
    Unfit,
}

impl Pool {
    /// Connects lazily. `statement_timeout` is the timeout that connections start with.
    pub(crate) fn new(
        servers: Arc<Servers>,
        statement_timeout: Duration,
        max_connections: u32,
        acquire_timeout: Duration,
    ) -> Self {
        let config = PoolConfig { queue_mode: QueueMode::Lifo, ..PoolConfig::new(max_connections as usize) };
        let inner = managed::Pool::builder(Manager { servers, statement_timeout }).config(config).build();
        let inner = inner.expect("a pool without time limits of its own can be built");
        let pool = inner.weak();
        tokio::spawn(async move {
            let mut minutes = interval(IDLE_CHECK_INTERVAL);
            loop {
                minutes.tick().await;
                let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
                pool.retain(|_, metrics| metrics.last_used() < IDLE_MAX);
            }
        });
        Self { inner, acquire_timeout, rollbacks: Arc::default() }
    }

    /// A connection, within `acquire_timeout`.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        match timeout(self.acquire_timeout, self.inner.get()).await {
            Ok(Ok(connection)) => Ok(Connection { kept: Some(connection), fitness: Fitness::InFlight }),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// Counts a statement that the server rolled back because of a conflict.
    pub(crate) fn count_rollback(&self) {
        self.rollbacks.fetch_add(1, Relaxed);
    }

    /// How many statements the server rolled back because of a conflict.
    pub(crate) fn rollbacks(&self) -> u64 {
        self.rollbacks.load(Relaxed)
    }

    pub(crate) fn usage(&self) -> PoolUsage {
        let managed::Status { max_size, size, available, waiting } = self.inner.status();
        PoolUsage { open: size, idle: available, max: max_size, waiting }
    }

    /// Closes idle connections.
    pub(crate) fn forget_connections(&self) {
        self.inner.retain(|_, _| false);
    }

    /// Closes all connections. A connection in use is closed when it is returned.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

impl Connection {
    pub(crate) fn postgres(&mut self) -> &mut PgConnection {
        let session = self.kept.as_mut().expect("a connection is present until the drop");
        session.postgres.as_mut().expect("a connection is present until the drop")
    }

    /// The current statement timeout of the connection.
    pub(crate) fn statement_timeout(&self) -> Duration {
        self.kept.as_ref().expect("a connection is present until the drop").statement_timeout
    }

    /// Changes the statement timeout of the connection.
    pub(crate) async fn set_statement_timeout(&mut self, limit: Duration) -> Result<(), Error> {
        let set = sqlx::query(include_str!("../sql/statement_timeout.sql")).bind(limit.as_millis().to_string());
        set.execute(self.postgres()).await?;
        self.kept.as_mut().expect("a connection is present until the drop").statement_timeout = limit;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut connection) = self.kept.take() else { return };
        match (self.fitness, Handle::try_current()) {
            (Fitness::Fit, _) => {}
            (Fitness::InFlight, Ok(runtime)) => {
                drop(connection.postgres.take());
                runtime.spawn(async move {
                    sleep(SLOT_HELD_FOR).await;
                    drop(Object::take(connection));
                });
            }
            (Fitness::InFlight | Fitness::Unfit, _) => drop(Object::take(connection)),
        }
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = Error;

    /// Waits for a server that is starting up, for at most `acquire_timeout`.
    async fn create(&self) -> Result<Session, Error> {
        let (mut pause, longest) = CONNECT_BACKOFF;
        loop {
            match self.servers.connect().await {
                Err(error) if is_starting(&error) => sleep(pause).await,
                connected => {
                    let postgres = Some(connected?);
                    return Ok(Session { postgres, statement_timeout: self.statement_timeout });
                }
            }
            pause = longest.min(pause * 2);
        }
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<Error> {
        let Some(connection) = session.postgres.as_mut().filter(|_| metrics.age() <= AGE_MAX) else {
            return Err(RecycleError::message("old, or closed"));
        };
        if metrics.last_used() > PING_AFTER_IDLE {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Whether no process listens there yet, the server is starting (57P03), or the server has no free connection
/// (53300).
fn is_starting(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        error => matches!(code_of(error).as_deref(), Some("57P03" | "53300")),
    }
}
