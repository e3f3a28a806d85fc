//! The stage of every scenario: a fleet under load, with proxies between the fleet and its stores.

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
use leasehold_tests::{Database, LogLine, Proxy, RedisServer, Stores, no_sleep_file};
use redis::aio::MultiplexedConnection;
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long the load runs before the fault, to measure normal operation.
const STEADY: Duration = Duration::from_secs(4);
/// How long the load runs at least after the fault: until the fleet has recovered, or the allowed recovery time is
/// over.
const RECOVERY_MIN: Duration = Duration::from_secs(2);
/// A timeout for steps that a fleet of debug builds on a busy machine must finish.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(90);

/// The fleet, the servers and the proxies of a scenario. A drop ends all of them.
pub(crate) struct Stage {
    pub(crate) members: Members,
    pub(crate) load: Load,
    pub(crate) stores: Stores,
    /// The proxy between all processes and PostgreSQL.
    pub(crate) to_postgres: Proxy,
    /// The proxy between all processes and Redis.
    pub(crate) to_redis: Proxy,
    pub(crate) moments: Moments,
    pub(crate) progress: Progress,
    /// The duration of a scenario whose duration can be chosen.
    pub(crate) window: Duration,
    /// The duration of a long outage: a minute, or a fifth of it in the short form.
    pub(crate) minute: Duration,
    /// Jobs in the line at the start of the fault.
    pub(crate) queued_at_fault: usize,
    shape: Shape,
    folder: PathBuf,
    log: Tail,
}

impl Stage {
    /// Starts everything, and waits until jobs are finished.
    pub(crate) async fn set_up(shape: Shape, folder: &Path, seed: u64, progress: Progress) -> Result<Self> {
        progress.phase("starting servers");
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        // Commits are durable, as they are by default on a server: the time of a commit influences what can go wrong.
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

    /// The load starts before the workers: workers empty a line faster than one client fills it.
    async fn until_the_line_is_long(&self) -> Result<()> {
        let (mut longest, mut grew) = (0, Instant::now());
        self.progress.phase(&format!("enqueueing {} jobs", self.shape.backlog));
        while self.load.length() < self.shape.backlog {
            if self.load.length() > longest {
                (longest, grew) = (self.load.length(), Instant::now());
            }
            ensure!(grew.elapsed() < STEP_TIMEOUT, "the line has {longest} jobs and stopped growing");
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

    /// Waits until each of these processes has started a job.
    pub(crate) async fn until_at_work(&mut self, wanted: &[u32]) -> Result<()> {
        let begun = Instant::now();
        loop {
            let at_work: BTreeSet<u32> = self.log().iter().map(|line| line.pid).collect();
            let missing = wanted.iter().filter(|pid| !at_work.contains(pid)).count();
            if missing == 0 {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < STEP_TIMEOUT,
                "{missing} of {} workers have not started a job; see {}",
                wanted.len(),
                self.folder.display()
            );
            self.pass(Duration::from_millis(50)).await;
        }
    }

    /// The handlers' log so far.
    pub(crate) fn log(&mut self) -> &[LogLine] {
        self.log.lines()
    }

    /// A time without faults.
    pub(crate) async fn steady(&mut self) {
        self.moments.steady = now_ms();
        self.progress.phase("normal operation, no fault yet");
        self.pass(STEADY).await;
    }

    /// Records that the fault begins now.
    pub(crate) fn fault_begins(&mut self, what: &str) {
        self.moments.fault = now_ms();
        self.queued_at_fault = self.load.length();
        self.progress.phase(&format!("{what}; {} jobs are in the line", self.queued_at_fault));
    }

    /// Records a fault injection. Recovery is measured from it.
    pub(crate) fn injection(&mut self) {
        self.moments.injections.push(now_ms());
    }

    /// Records that the fault ends now.
    pub(crate) fn heals(&mut self) {
        self.moments.healed = now_ms();
        self.progress.phase("the fault has ended, the load continues");
    }

    /// Lets time pass while the load continues. This is the duration of a fault and not a wait for a condition.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(100).min(time.saturating_sub(begun.elapsed()))).await;
            if let Ok(ended) = self.members.replace_ended() {
                self.moments.kills.extend(ended);
            }
        }
    }

    /// The load continues until the fleet has recovered or the allowed time is over.
    async fn recover(&mut self, plan: &Plan) {
        let begun = Instant::now();
        let at_most = RECOVERY_MIN + Duration::from_secs_f64(plan.recovers_within_s);
        loop {
            self.pass(Duration::from_millis(500)).await;
            let mut so_far = self.moments.clone();
            so_far.load_stopped = now_ms();
            let has = plan.recovery == Recovery::Orphans || checker::recovery_s(plan, self.log(), &so_far).is_some();
            if begun.elapsed() >= at_most || has && begun.elapsed() >= RECOVERY_MIN {
                return;
            }
        }
    }

    /// Waits until the line is empty. Returns how long that took, if it became empty. A long line may take long, but it
    /// must keep shrinking.
    async fn drain(&mut self, line: &mut PgConnection) -> Result<Option<f64>> {
        std::fs::write(no_sleep_file(self.log.path()), "")?;
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
            if shrank.elapsed() > STEP_TIMEOUT {
                return Ok(None);
            }
            self.progress.now_and_then(&format!("{left} jobs left"));
            self.pass(Duration::from_millis(200)).await;
        }
    }

    /// The last phases: the fleet recovers, the load ends, the line drains, the workers stop, the evidence is
    /// collected.
    pub(crate) async fn finish(mut self, plan: &Plan) -> Result<Evidence> {
        self.recover(plan).await;
        self.moments.load_stopped = now_ms();
        let ledger = self.load.stop().await;
        let mut line = self.connect_postgres().await?;
        let drained_s = self.drain(&mut line).await?;
        self.progress.phase("collecting evidence");
        let mut redis = self.connect_redis().await?;
        let (agreed_s, left_in_redis) = evidence::redis_at_rest(&mut redis, self.shape.lease_ms).await?;
        let violations = evidence::violations_at_rest(&self.stores).await?;
        self.members.end_workers().await;
        Ok(Evidence {
            ledger,
            rows: evidence::rows(&mut line).await?,
            edges: evidence::edges(&mut line).await?,
            batches: evidence::batches(&mut line).await?,
            callbacks: evidence::callbacks(&mut line).await?,
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

    /// The folder with all files of the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the handlers' log.
    pub(crate) fn log_path(&self) -> &Path {
        self.log.path()
    }

    /// `worker.lease_ms` of the fleet.
    pub(crate) fn lease_ms(&self) -> u64 {
        self.shape.lease_ms
    }

    /// A direct connection, not through the proxy.
    pub(crate) async fn connect_postgres(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.stores.database.url).await.context("connecting to PostgreSQL")
    }

    /// A direct connection, not through the proxy.
    pub(crate) async fn connect_redis(&self) -> Result<MultiplexedConnection> {
        Ok(self.stores.redis.connect().await)
    }
}
