//! A fleet under load with proxies between it and its stores: what every scenario is played on.

use crate::{
    evidence::{self, Evidence},
    load::Load,
    members::Members,
    moments::{Moments, now_ms},
    plan::Shape,
    progress::Progress,
};
use anyhow::{Context as _, Result, bail};
use leasehold::{Client, Config};
use leasehold_servers::PostgresOptions;
use leasehold_servers::RedisOptions;
use leasehold_tests::{Database, Proxy, RedisServer, Stores, read_log};
use redis::aio::MultiplexedConnection;
use sqlx::{Connection as _, PgConnection};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long the load runs without harm, to know what it is like.
const STEADY: Duration = Duration::from_secs(5);
/// How long it goes on after the fault.
/// A fleet of debug builds on a busy machine must be up, and the line empty again, within this.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a scenario is played on. All of it is gone when it is dropped.
pub(crate) struct Stage {
    pub(crate) members: Members,
    pub(crate) load: Load,
    pub(crate) stores: Stores,
    /// Between all processes and PostgreSQL.
    pub(crate) to_postgres: Proxy,
    /// Between all processes and Redis.
    pub(crate) to_redis: Proxy,
    pub(crate) moments: Moments,
    pub(crate) progress: Progress,
    /// How long a scenario goes on that can go on for any time.
    pub(crate) window: Duration,
    shape: Shape,
    folder: PathBuf,
}

impl Stage {
    /// Starts everything, and waits until jobs are done.
    pub(crate) async fn set_up(shape: Shape, folder: &Path, seed: u64, progress: Progress) -> Result<Self> {
        progress.phase("starting servers, workers and reapers");
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        // Commits as a server makes them by default: the time they take is a part of what can go wrong.
        let options = PostgresOptions { password: false, ..PostgresOptions::default() };
        let (database, redis) = tokio::join!(
            Database::start_apart(options),
            RedisServer::start_with(RedisOptions { password: false, ..RedisOptions::default() })
        );
        let stores = Stores { database, redis };
        let to_postgres = Proxy::start(stores.database.server().port()).await;
        let to_redis = Proxy::start(stores.redis.server().port()).await;
        let (database_url, redis_url) =
            (to_postgres.instead_of(&stores.database.url), to_redis.instead_of(&stores.redis.url));
        let mut config = Config::new(&database_url, &redis_url);
        config.head.max = shape.head_max;
        let client = Client::connect(&config).await?;
        let load = Load::start(client, &stores.database.url, shape, folder.join("probes.log"), seed);
        let members = Members::new(shape, &folder, database_url, redis_url);
        let (moments, window) = (Moments::default(), Duration::ZERO);
        let mut stage = Self { members, load, stores, to_postgres, to_redis, moments, progress, window, shape, folder };
        for _ in 0..shape.reapers {
            stage.members.start_reaper()?;
        }
        for _ in 0..shape.workers {
            stage.members.start_worker()?;
        }
        stage.until_all_work().await?;
        Ok(stage)
    }

    async fn until_all_work(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut pids: Vec<u32> = self.log().iter().map(|line| line.pid).collect();
            pids.sort_unstable();
            pids.dedup();
            if pids.len() >= self.shape.workers {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!(
                    "only {} of {} workers have begun a job; see {}",
                    pids.len(),
                    self.shape.workers,
                    self.folder.display()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the handlers wrote so far.
    pub(crate) fn log(&self) -> Vec<leasehold_tests::LogLine> {
        read_log(&self.folder.join("probes.log"))
    }

    /// A while without harm.
    pub(crate) async fn steady(&mut self) {
        self.moments.steady = now_ms();
        self.progress.phase("working, no harm yet");
        self.pass(STEADY).await;
    }

    /// The fault begins now.
    pub(crate) fn fault_begins(&mut self, what: &str) {
        self.moments.fault = now_ms();
        self.progress.phase(what);
    }

    /// The fault is over.
    pub(crate) fn heals(&mut self) {
        self.moments.healed = now_ms();
        self.progress.phase("no more harm, the load goes on");
    }

    /// Time passes while the load goes on: this is what a window is, not a wait for something.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(100).min(time.saturating_sub(begun.elapsed()))).await;
            if let Ok(ended) = self.members.replace_ended() {
                self.moments.kills.extend(ended);
            }
        }
    }

    /// The load ends, the line drains, workers end; what is left.
    pub(crate) async fn finish(mut self, after: Duration) -> Result<Evidence> {
        self.pass(after).await;
        self.progress.phase("the load stops");
        self.moments.load_stopped = now_ms();
        let ledger = self.load.stop().await;
        let mut line = self.connect_postgres().await?;
        let begun = Instant::now();
        let mut drained_s = None;
        while begun.elapsed() < PATIENCE {
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(&mut line).await?;
            if left == 0 {
                drained_s = Some(begun.elapsed().as_secs_f64());
                break;
            }
            self.progress.phase(&format!("draining: {left} jobs left"));
            self.pass(Duration::from_millis(500)).await;
        }
        self.progress.phase("looking at what is left");
        let mut redis = self.connect_redis().await?;
        let (agreed_s, left_in_redis) = evidence::redis_at_rest(&mut redis, self.shape.lease_ms).await?;
        let violations = evidence::violations(&self.stores).await?;
        self.members.end_workers().await;
        Ok(Evidence {
            ledger,
            rows: evidence::rows(&mut line).await?,
            log: self.log(),
            left_in_redis,
            violations,
            tallies: std::mem::take(&mut self.members.tallies),
            ended_badly: std::mem::take(&mut self.members.ended_badly),
            moments: self.moments.clone(),
            drained_s,
            agreed_s,
        })
    }

    /// `worker.lease_ms` of the fleet.
    pub(crate) fn lease_ms(&self) -> u64 {
        self.shape.lease_ms
    }

    /// Straight, not by the proxy.
    pub(crate) async fn connect_postgres(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.stores.database.url).await.context("connecting to PostgreSQL")
    }

    /// Straight, not by the proxy.
    pub(crate) async fn connect_redis(&self) -> Result<MultiplexedConnection> {
        Ok(self.stores.redis.connect().await)
    }
}
