//! A database and a Redis for one test.

use crate::shared::{TEMPLATE, make_template, postgres_options, private_folder, shared_pgbouncer, shared_postgres};
use leasehold_servers::{
    Folder, PgBouncer, PgBouncerOptions, Postgres, PostgresOptions, Programs, Redis, RedisOptions,
};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// A machine that runs many tests at the same time is slow at times; the default timeout of half a second is too short
/// for that.
const REDIS_ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Both stores.
#[derive(Debug)]
pub struct Stores {
    /// PostgreSQL.
    pub database: Database,
    /// Redis.
    pub redis: RedisServer,
}

impl Stores {
    /// A separate database, with the schema, on the PostgreSQL that the tests of this binary share; and a Redis of
    /// its own.
    pub async fn start() -> Self {
        let (database, redis) = tokio::join!(Database::start(), RedisServer::start());
        Self { database, redis }
    }

    /// The same on a separate PostgreSQL, for tests that stop, kill or freeze the server.
    pub async fn start_apart() -> Self {
        let (database, redis) = tokio::join!(Database::start_apart(postgres_options()), RedisServer::start());
        Self { database, redis }
    }
}

/// A database that contains only the schema.
#[derive(Debug)]
pub struct Database {
    /// `postgres://…`
    pub url: String,
    postgres: Arc<Postgres>,
    /// Declared after the server, which is dropped first.
    _folder: Option<TempDir>,
}

impl Database {
    /// A database on the PostgreSQL that the tests of this binary share.
    pub async fn start() -> Self {
        let postgres = shared_postgres().await;
        let url = copy_template(&postgres).await;
        Self { url, postgres, _folder: None }
    }

    /// A database on a separate PostgreSQL.
    ///
    /// # Panics
    /// The server does not start.
    pub async fn start_apart(options: PostgresOptions) -> Self {
        let folder = private_folder();
        let path = folder.path().to_owned();
        let starting = tokio::task::spawn_blocking(move || {
            let opened = Folder::open(&path).unwrap_or_else(|error| panic!("{error}"));
            let postgres =
                Postgres::start(&Programs::find(), &opened, options).unwrap_or_else(|error| panic!("{error}"));
            make_template(&postgres);
            Arc::new(postgres)
        });
        let postgres = starting.await.expect("PostgreSQL for this test");
        let url = copy_template(&postgres).await;
        Self { url, postgres, _folder: Some(folder) }
    }

    /// The database of this name on a server of a test, whose folder is removed after the server has ended.
    #[must_use]
    pub fn of(postgres: Postgres, name: &str, folder: TempDir) -> Self {
        Self { url: postgres.url(name), postgres: Arc::new(postgres), _folder: Some(folder) }
    }

    /// The URL of the database through a PgBouncer in transaction mode. Only for databases on the shared PostgreSQL,
    /// because the PgBouncer is shared too.
    pub async fn url_through_pgbouncer(&self) -> String {
        shared_pgbouncer(self.postgres.clone()).await.instead_of(&self.postgres, &self.url)
    }

    /// Starts a separate PgBouncer in front of the database. Returns the URL through it. PgBouncer ends when the
    /// returned value is dropped.
    ///
    /// # Panics
    /// PgBouncer does not start.
    pub async fn start_pgbouncer(&self, options: PgBouncerOptions) -> (OwnPgBouncer, String) {
        let folder = private_folder();
        let (path, postgres) = (folder.path().to_owned(), self.postgres.clone());
        let starting = tokio::task::spawn_blocking(move || {
            let opened = Folder::open(&path).unwrap_or_else(|error| panic!("{error}"));
            PgBouncer::start(&Programs::find(), &opened, &postgres, &options).unwrap_or_else(|error| panic!("{error}"))
        });
        let pgbouncer = starting.await.expect("PgBouncer for this test");
        let url = pgbouncer.instead_of(&self.postgres, &self.url);
        (OwnPgBouncer { _pgbouncer: pgbouncer, _folder: folder }, url)
    }

    /// The server of the database. Its functions block for a moment, which is fine in a test.
    #[must_use]
    pub fn server(&self) -> &Postgres {
        &self.postgres
    }

    /// Opens a new connection to the database.
    ///
    /// # Panics
    /// The connection fails.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connecting to the database of this test")
    }
}

/// A PgBouncer of one test.
#[derive(Debug)]
pub struct OwnPgBouncer {
    _pgbouncer: PgBouncer,
    /// Declared after the server, which is dropped first.
    _folder: TempDir,
}

async fn copy_template(postgres: &Postgres) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut connection =
        PgConnection::connect(&postgres.url(postgres.database())).await.expect("connecting to PostgreSQL");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
    connection.execute(create).await.expect("making the database of this test");
    connection.close().await.expect("closing a connection");
    postgres.url(&name)
}

/// An empty Redis of one test.
#[derive(Debug)]
pub struct RedisServer {
    /// `redis://…`
    pub url: String,
    redis: Redis,
    /// Declared after the server, which is dropped first.
    _folder: TempDir,
}

impl RedisServer {
    /// Starts a Redis that keeps no data when it stops.
    pub async fn start() -> Self {
        Self::start_with(RedisOptions { password: false, ..RedisOptions::default() }).await
    }

    /// Starts a Redis with these options.
    ///
    /// # Panics
    /// Redis does not start.
    pub async fn start_with(options: RedisOptions) -> Self {
        let folder = private_folder();
        let path = folder.path().to_owned();
        let starting = tokio::task::spawn_blocking(move || {
            let opened = Folder::open(&path).unwrap_or_else(|error| panic!("{error}"));
            Redis::start(&Programs::find(), &opened, options).unwrap_or_else(|error| panic!("{error}"))
        });
        let redis = starting.await.expect("Redis for this test");
        Self { url: redis.url(), redis, _folder: folder }
    }

    /// The server. Its functions block for a moment, which is fine in a test.
    #[must_use]
    pub fn server(&self) -> &Redis {
        &self.redis
    }

    /// Opens a new connection.
    ///
    /// # Panics
    /// The connection fails.
    pub async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).expect("the URL of Redis");
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_ANSWERS_WITHIN))
            .set_response_timeout(Some(REDIS_ANSWERS_WITHIN));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("connecting to the Redis of this test")
    }
}
