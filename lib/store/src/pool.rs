//! Connections for statements that commit by themselves: how they are made, kept, and thrown away.
//!
//! The one that was used last is used next, so that a process has no more of them at work than it has statements at once.
//! Each costs the server what its catalog caches and plans take to build, some 10 ms of CPU, and a pool that goes round
//! its connections pays that for all of them. The driver's own pool does go round, and asks each that comes back whether
//! it still stands, which is a second round trip for every statement.

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

/// A connection that has lain idle for longer is asked whether it still stands before it is used:
/// a restart of the server must not cost each connection one failed statement.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// One that nothing was asked of for this long is closed.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// How often those are looked for.
const LOOKED_FOR_EVERY: Duration = Duration::from_mins(1);
/// None is used for longer, so that a process finds back to a server that was away for a while.
const OLDEST: Duration = Duration::from_mins(30);
/// How often the server looks, in the middle of a statement, whether the client is still there. Without it, a statement
/// that waits for a lock goes on after its client has closed the connection.
pub(crate) const CONNECTION_CHECKED_EVERY: Duration = Duration::from_millis(250);
/// How long the place of a connection that was closed in the middle of a statement is not given to another: until the server
/// has surely noticed, or a process whose callers give up would have ever more connections there.
const PLACE_HELD_FOR: Duration = Duration::from_secs(1);
/// Before the second attempt to reach a server that is starting up, and at most between two.
const CONNECT_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Connections that statements share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: managed::Pool<Manager>,
    acquire_timeout: Duration,
    /// Statements that the server rolled back for others' sake.
    rollbacks: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Manager {
    servers: Servers,
    /// The one that is set when connecting.
    statement_timeout: Duration,
}

/// A connection, and what is set on it.
#[derive(Debug)]
struct Session {
    /// Gone when it was closed in the middle of a statement.
    postgres: Option<PgConnection>,
    statement_timeout: Duration,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Gone when this is dropped.
    kept: Option<Object<Manager>>,
    /// What becomes of it then.
    pub(crate) fitness: Fitness,
}

/// Whether a connection can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    /// It was asked something and has not answered: the server may still be at work for it.
    Asked,
    /// It has answered.
    Fit,
    /// It failed.
    Unfit,
}

impl Pool {
    /// Connects when the first statement wants to. `statement_timeout` is the one that connections have from the start.
    pub(crate) fn new(
        servers: Servers,
        statement_timeout: Duration,
        max_connections: u32,
        acquire_timeout: Duration,
    ) -> Self {
        let config = PoolConfig { queue_mode: QueueMode::Lifo, ..PoolConfig::new(max_connections as usize) };
        let inner = managed::Pool::builder(Manager { servers, statement_timeout }).config(config).build();
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
        Self { inner, acquire_timeout, rollbacks: Arc::default() }
    }

    /// A connection, within the time that there is for it.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        match timeout(self.acquire_timeout, self.inner.get()).await {
            Ok(Ok(connection)) => Ok(Connection { kept: Some(connection), fitness: Fitness::Asked }),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// A statement was rolled back for others' sake.
    pub(crate) fn count_rollback(&self) {
        self.rollbacks.fetch_add(1, Relaxed);
    }

    /// How many were.
    pub(crate) fn rollbacks(&self) -> u64 {
        self.rollbacks.load(Relaxed)
    }

    /// Closes the connections that are not in use.
    pub(crate) fn forget_connections(&self) {
        self.inner.retain(|_, _| false);
    }

    /// Closes all connections: those in use when they are given back.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

impl Connection {
    pub(crate) fn postgres(&mut self) -> &mut PgConnection {
        let session = self.kept.as_mut().expect("it is here until this is dropped");
        session.postgres.as_mut().expect("it is here until this is dropped")
    }

    /// How long a statement may take on it.
    pub(crate) fn statement_timeout(&self) -> Duration {
        self.kept.as_ref().expect("it is here until this is dropped").statement_timeout
    }

    /// Sets that.
    pub(crate) async fn set_statement_timeout(&mut self, limit: Duration) -> Result<(), Error> {
        let set = sqlx::query(include_str!("../sql/statement_timeout.sql")).bind(limit.as_millis().to_string());
        set.execute(self.postgres()).await?;
        self.kept.as_mut().expect("it is here until this is dropped").statement_timeout = limit;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut connection) = self.kept.take() else { return };
        match (self.fitness, Handle::try_current()) {
            (Fitness::Fit, _) => {}
            (Fitness::Asked, Ok(runtime)) => {
                drop(connection.postgres.take());
                runtime.spawn(async move {
                    sleep(PLACE_HELD_FOR).await;
                    drop(Object::take(connection));
                });
            }
            (Fitness::Asked | Fitness::Unfit, _) => drop(Object::take(connection)),
        }
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = Error;

    /// Waits for a server that is starting up for as long as whoever wants the connection does.
    async fn create(&self) -> Result<Session, Error> {
        let (mut pause, longest) = CONNECT_AGAIN;
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
        let Some(connection) = session.postgres.as_mut().filter(|_| metrics.age() <= OLDEST) else {
            return Err(RecycleError::message("old, or closed"));
        };
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
