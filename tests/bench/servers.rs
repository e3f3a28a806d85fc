//! A PostgreSQL and a Redis for measurements, with the same settings as for every other measured queue.

use anyhow::{Context as _, Result};
use leasehold_servers::{Folder, Postgres, PostgresOptions, Programs, Redis, RedisOptions};
use leasehold_tests::{eventually, private_folder};
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::time::Duration;
use tempfile::TempDir;

/// All other settings are PostgreSQL's defaults: a commit is durable before it is answered.
pub(crate) const POSTGRES: [&str; 2] = ["shared_buffers=512MB", "max_wal_size=4GB"];
/// 64 processes need more than the default 100.
pub(crate) const CONNECTIONS: u32 = 400;
/// The setting of a Redis that must not lose more than a second of data.
pub(crate) const REDIS: [&str; 1] = ["appendfsync everysec"];
const DATABASE: &str = "bench";
const COPY: &str = "bench_copy";
const REWRITE_TIMEOUT: Duration = Duration::from_secs(20);
const COPY_TIMEOUT: Duration = Duration::from_secs(60);

/// Both servers. A drop ends them.
pub(crate) struct Servers {
    postgres: Postgres,
    redis: Redis,
    /// Declared after the servers, which are dropped first.
    folder: TempDir,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self> {
        let folder = private_folder();
        let path = folder.path().to_owned();
        let starting = tokio::task::spawn_blocking(move || {
            let (programs, opened) = (Programs::find(), Folder::open(&path)?);
            let postgres = Postgres::start(
                &programs,
                &opened,
                PostgresOptions {
                    fsync: true,
                    max_connections: CONNECTIONS,
                    password: false,
                    settings: POSTGRES.map(str::to_owned).to_vec(),
                },
            )?;
            let settings = REDIS.map(str::to_owned).to_vec();
            let redis = Redis::start(&programs, &opened, RedisOptions { keep: true, password: false, settings })?;
            Ok::<_, leasehold_servers::Error>((postgres, redis))
        });
        let (postgres, redis) = starting.await??;
        Ok(Self { postgres, redis, folder })
    }

    pub(crate) fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// A folder on the same disk as the data.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.postgres.pid(), self.redis.pid()].map(|pid| u32::try_from(pid).unwrap_or_default())
    }

    /// A connection to the measured database.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.database_url()).await.context("connecting to the database of the measurement")
    }

    /// An empty database and an empty Redis, both with their logs flushed, so that no run pays for an earlier run.
    pub(crate) async fn fresh(&self) -> Result<()> {
        let url = self.postgres.url(self.postgres.database());
        let mut server = PgConnection::connect(&url).await.context("connecting to PostgreSQL")?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"),
            format!("CREATE DATABASE {DATABASE}"),
            "CHECKPOINT".to_owned(),
        ] {
            server.execute(AssertSqlSafe(statement)).await.context("making an empty database")?;
        }
        server.close().await?;
        let mut redis = self.redis().await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.context("emptying Redis")?;
        redis::cmd("BGREWRITEAOF").query_async::<()>(&mut redis).await.context("writing out Redis")?;
        eventually("Redis has written out its file", REWRITE_TIMEOUT, async || {
            match self.is_rewriting(&mut redis).await {
                Ok(false) => Ok(()),
                other => Err(format!("still writing: {other:?}")),
            }
        })
        .await;
        Ok(())
    }

    /// Copies the database and answers the URL of the copy. Nobody may be connected to the database.
    pub(crate) async fn copy(&self) -> Result<String> {
        let url = self.postgres.url(self.postgres.database());
        let mut server = PgConnection::connect(&url).await.context("connecting to PostgreSQL")?;
        let copy = format!("CREATE DATABASE {COPY} TEMPLATE {DATABASE}");
        eventually("the database is copied", COPY_TIMEOUT, async || {
            // The server may not have noticed yet that the last client has disconnected.
            server.execute(AssertSqlSafe(copy.clone())).await.map_err(|error| error.to_string())
        })
        .await;
        server.close().await?;
        Ok(self.postgres.url(COPY))
    }

    /// The versions of PostgreSQL and Redis.
    pub(crate) async fn versions(&self) -> Result<[String; 2]> {
        let url = self.postgres.url(self.postgres.database());
        let mut server = PgConnection::connect(&url).await.context("connecting to PostgreSQL")?;
        let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut server).await?;
        server.close().await?;
        let info = self.info(&mut self.redis().await?, "server").await?;
        let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("?");
        Ok([postgres.split(' ').next().unwrap_or("?").to_owned(), redis.to_owned()])
    }

    async fn is_rewriting(&self, redis: &mut MultiplexedConnection) -> Result<bool> {
        let info = self.info(redis, "persistence").await?;
        Ok(["aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"].iter().any(|sign| info.contains(sign)))
    }

    /// The memory that Redis uses, in bytes.
    pub(crate) async fn redis_memory(&self) -> Result<u64> {
        let info = self.info(&mut self.redis().await?, "memory").await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.and_then(|text| text.trim().parse().ok()).context("Redis does not say how much memory it uses")
    }

    async fn info(&self, redis: &mut MultiplexedConnection, section: &str) -> Result<String> {
        redis::cmd("INFO").arg(section).query_async(redis).await.context("asking Redis about itself")
    }

    async fn redis(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.redis.url())?;
        client.get_multiplexed_async_connection().await.context("connecting to Redis")
    }
}
