//! A fleet under load with proxies between it and its stores: what every scenario is played on.

use crate::{
    checker,
    evidence::{self, Evidence},
    load::Load,
    members::Members,
    moments::{Moments, now_ms},
    plan::{Plan, Recovery, SERVER_CONNECTIONS, Shape},
    progress::Progress,
    tail::Tail,
};
use anyhow::{Context as _, Result, ensure};
use leasehold::{Client, Config};
use leasehold_servers::PostgresOptions;
use leasehold_servers::RedisOptions;
use leasehold_tests::{Database, LogLine, Proxy, RedisServer, Stores, hurry};
use redis::aio::MultiplexedConnection;
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long the load runs without harm, to know what it is like.
const STEADY: Duration = Duration::from_secs(4);
/// How long it goes on after the fault, at least. Until the fleet has recovered, and no longer than it may take for that.
const AFTER: Duration = Duration::from_secs(2);
/// For what a fleet of debug builds on a busy machine must have done sooner or later.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

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
    /// What a long absence is: a minute, and a fifth of it in the short form.
    pub(crate) minute: Duration,
    /// Jobs in the line when the fault began.
    pub(crate) queued_at_fault: usize,
    shape: Shape,
    folder: PathBuf,
    log: Tail,
}

impl Stage {
    /// Starts everything, and waits until jobs are done.
    pub(crate) async fn set_up(shape: Shape, folder: &Path, seed: u64, progress: Progress) -> Result<Self> {
        progress.phase("starting servers");
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        // Commits as a server makes them by default: the time they take is a part of what can go wrong.
        let options =
            PostgresOptions { password: false, max_connections: SERVER_CONNECTIONS, ..PostgresOptions::default() };
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
        let log = Tail::of(folder.join("probes.log"));
        let load = Load::start(client, &stores.database.url, shape, log.path().to_owned(), seed);
        let members = Members::new(shape, &folder, database_url, redis_url);
        let (moments, window, minute) = (Moments::default(), Duration::ZERO, Duration::from_secs(60));
        let queued_at_fault = 0;
        let mut stage = Self {
            members,
            load,
            stores,
            to_postgres,
            to_redis,
            moments,
            progress,
            window,
            minute,
            queued_at_fault,
            shape,
            folder,
            log,
        };
        stage.until_the_line_is_long().await?;
        for _ in 0..shape.reapers {
            stage.members.start_reaper()?;
        }
        for _ in 0..shape.workers {
            stage.members.start_worker()?;
        }
        stage.until_all_work().await?;
        Ok(stage)
    }

    /// The load before the workers: they take from a long line faster than one client makes it long.
    async fn until_the_line_is_long(&self) -> Result<()> {
        let (mut longest, mut grew) = (0, Instant::now());
        self.progress.phase(&format!("enqueueing {} jobs", self.shape.backlog));
        while self.load.length() < self.shape.backlog {
            if self.load.length() > longest {
                (longest, grew) = (self.load.length(), Instant::now());
            }
            ensure!(grew.elapsed() < PATIENCE, "the line is {longest} jobs long and does not grow");
            self.progress.now_and_then(&format!("enqueued {longest} of {} jobs", self.shape.backlog));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn until_all_work(&mut self) -> Result<()> {
        self.progress.phase("starting workers and reapers");
        let wanted: Vec<u32> = self.members.workers.iter().map(|worker| worker.pid()).collect();
        self.until_at_work(&wanted).await
    }

    /// Waits until each of these processes has begun a job.
    pub(crate) async fn until_at_work(&mut self, wanted: &[u32]) -> Result<()> {
        let begun = Instant::now();
        loop {
            let at_work: BTreeSet<u32> = self.log().iter().map(|line| line.pid).collect();
            let missing = wanted.iter().filter(|pid| !at_work.contains(pid)).count();
            if missing == 0 {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{missing} of {} workers have not begun a job; see {}",
                wanted.len(),
                self.folder.display()
            );
            self.pass(Duration::from_millis(50)).await;
        }
    }

    /// What the handlers wrote so far.
    pub(crate) fn log(&mut self) -> &[LogLine] {
        self.log.lines()
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
        self.queued_at_fault = self.load.length();
        self.progress.phase(&format!("{what}; {} jobs are in the line", self.queued_at_fault));
    }

    /// A blow, from which recovery is measured.
    pub(crate) fn blow(&mut self) {
        self.moments.blows.push(now_ms());
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

    /// The load goes on until the fleet has recovered, or could not in time.
    async fn recover(&mut self, plan: &Plan) {
        let begun = Instant::now();
        let at_most = AFTER + Duration::from_secs_f64(plan.recovers_within_s);
        loop {
            self.pass(Duration::from_millis(500)).await;
            let mut so_far = self.moments.clone();
            so_far.load_stopped = now_ms();
            let has = plan.recovery == Recovery::Orphans || checker::recovery_s(plan, self.log(), &so_far).is_some();
            if begun.elapsed() >= at_most || has && begun.elapsed() >= AFTER {
                return;
            }
        }
    }

    /// The line drains: how long that took, if it did. It may take long where it is long, but must not stop.
    async fn drain(&mut self, line: &mut PgConnection) -> Result<Option<f64>> {
        std::fs::write(hurry(self.log.path()), "")?;
        let begun = Instant::now();
        let (mut least, mut shrank) = (i64::MAX, begun);
        self.progress.phase("the line drains");
        loop {
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(&mut *line).await?;
            if left == 0 {
                return Ok(Some(begun.elapsed().as_secs_f64()));
            }
            if left < least {
                (least, shrank) = (left, Instant::now());
            }
            if shrank.elapsed() > PATIENCE {
                return Ok(None);
            }
            self.progress.now_and_then(&format!("{left} jobs left"));
            self.pass(Duration::from_millis(200)).await;
        }
    }

    /// The fleet recovers, the load ends, the line drains, workers end; what is left.
    pub(crate) async fn finish(mut self, plan: &Plan) -> Result<Evidence> {
        self.recover(plan).await;
        self.moments.load_stopped = now_ms();
        let ledger = self.load.stop().await;
        let mut line = self.connect_postgres().await?;
        let drained_s = self.drain(&mut line).await?;
        self.progress.phase("looking at what is left");
        let mut redis = self.connect_redis().await?;
        let (agreed_s, left_in_redis) = evidence::redis_at_rest(&mut redis, self.shape.lease_ms).await?;
        let violations = evidence::violations_at_rest(&self.stores).await?;
        self.members.end_workers().await;
        Ok(Evidence {
            ledger,
            rows: evidence::rows(&mut line).await?,
            log: self.log().to_vec(),
            left_in_redis,
            violations,
            tallies: std::mem::take(&mut self.members.tallies),
            ended_badly: std::mem::take(&mut self.members.ended_badly),
            moments: self.moments.clone(),
            queued_at_fault: self.queued_at_fault,
            drained_s,
            agreed_s,
        })
    }

    /// Where all files of the run are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the handlers write to.
    pub(crate) fn log_path(&self) -> &Path {
        self.log.path()
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
