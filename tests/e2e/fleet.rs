//! Reaper and worker processes on the stores of one test.

use leasehold::{Client, Config, Pooler};
use leasehold_tests::{Probe, Stores, WrongClock, eventually, forget_clock_of, leasehold_program, private_folder};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, LazyLock},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The timeout for anything that a fleet on a busy machine does.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// Only one fleet at a time: these tests measure times and would slow each other down.
static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// The processes of one test. A drop kills all of them.
pub(crate) struct Fleet {
    pub(crate) workers: Vec<Process>,
    pub(crate) reaper: Option<Process>,
    pub(crate) client: Client,
    pub(crate) stores: Stores,
    folder: TempDir,
    config: Config,
    /// Declared after all processes: the next test may start when it is dropped.
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A child process that ends with its test.
pub(crate) struct Process(Child);

impl Fleet {
    /// Stores and a reaper. Workers are started one by one.
    pub(crate) async fn start(lease: Duration) -> Self {
        Self::start_on(Stores::start().await, lease).await
    }

    /// The same on these stores.
    pub(crate) async fn start_on(stores: Stores, lease: Duration) -> Self {
        let turn = TURN.clone().lock_owned().await;
        let mut config = Config::new(&stores.database.url, &stores.redis.url);
        config.worker.lease_ms = millis(lease);
        Self::on(Some(turn), stores, config).await
    }

    /// The same, but no process of the fleet reaches Redis.
    pub(crate) async fn start_without_redis(lease: Duration) -> Self {
        let turn = TURN.clone().lock_owned().await;
        let stores = Stores::start().await;
        let mut config = Config::new(&stores.database.url, "redis://127.0.0.1:1");
        config.worker.lease_ms = millis(lease);
        Self::on(Some(turn), stores, config).await
    }

    /// Two fleets, each with a separate database, on one Redis server. Only the prefix of their keys distinguishes them.
    pub(crate) async fn start_two_on_one_redis(lease: Duration, prefixes: [&str; 2]) -> [Self; 2] {
        let turn = TURN.clone().lock_owned().await;
        let (first, second) = (Stores::start().await, Stores::start().await);
        let configs = [(&first, prefixes[0]), (&second, prefixes[1])].map(|(stores, prefix)| {
            let mut config = Config::new(&stores.database.url, &first.redis.url);
            config.worker.lease_ms = millis(lease);
            config.redis.key_prefix = prefix.parse().expect("a prefix");
            config
        });
        let [of_first, of_second] = configs;
        let second = Self::on(None, second, of_second).await;
        [Self::on(Some(turn), first, of_first).await, second]
    }

    /// The same, but all processes of the fleet reach PostgreSQL through PgBouncer in transaction mode.
    pub(crate) async fn start_through_pgbouncer(lease: Duration) -> Self {
        let turn = TURN.clone().lock_owned().await;
        let stores = Stores::start().await;
        let mut config = Config::new(&stores.database.url_through_pgbouncer().await, &stores.redis.url);
        config.database.pooler = Pooler::Transaction;
        config.worker.lease_ms = millis(lease);
        Self::on(Some(turn), stores, config).await
    }

    async fn on(turn: Option<OwnedMutexGuard<()>>, stores: Stores, config: Config) -> Self {
        let client = Client::connect(&config).await.expect("a client");
        let (workers, folder) = (Vec::new(), private_folder());
        let mut fleet = Self { workers, reaper: None, client, stores, folder, config, _turn: turn };
        let mut command = fleet.command(leasehold_program());
        command.arg("reaper");
        fleet.reaper = Some(Process::start(command));
        fleet
    }

    /// Starts worker processes that run probes, and waits until all of them are registered.
    pub(crate) async fn start_probe_workers(&mut self, count: usize, slots: u32) {
        for _ in 0..count {
            self.start_probe_worker(slots, None);
        }
        self.until_all_are_registered().await;
    }

    /// Starts one worker process that runs probes. Its clock may be wrong.
    pub(crate) fn start_probe_worker(&mut self, slots: u32, clock: Option<&WrongClock>) {
        let mut worker = self.command(env!("CARGO_BIN_EXE_probe_worker").into());
        worker.args(["default", &slots.to_string()]).envs(clock.map(WrongClock::environment).unwrap_or_default());
        self.workers.push(Process::start(worker));
    }

    /// Starts the program `leasehold`, whose clock may be wrong. It is killed with the fleet.
    pub(crate) fn start_leasehold(&mut self, arguments: &[&str], clock: Option<&WrongClock>) {
        let mut command = self.command(leasehold_program());
        command.args(arguments).envs(clock.map(WrongClock::environment).unwrap_or_default());
        self.workers.push(Process::start(command));
    }

    /// Runs the program `leasehold` until it ends with success. Its clock may be wrong. Returns its output.
    pub(crate) fn leasehold(&self, arguments: &[&str], clock: Option<&WrongClock>) -> String {
        let Output { status, stdout, stderr } = self.leasehold_ends(arguments, clock);
        assert!(status.success(), "leasehold {arguments:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// The same, with or without success.
    pub(crate) fn leasehold_ends(&self, arguments: &[&str], clock: Option<&WrongClock>) -> Output {
        let mut command = self.command(leasehold_program());
        command.args(arguments).envs(clock.map(WrongClock::environment).unwrap_or_default());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("running leasehold")
    }

    pub(crate) async fn until_all_are_registered(&self) {
        let wanted = self.workers.len();
        let client = redis::Client::open(self.redis_url()).expect("the URL of Redis");
        let redis = client.get_multiplexed_async_connection().await.expect("a connection");
        let workers = format!("{}:workers", self.config.redis.key_prefix);
        eventually("every worker is registered", TIMEOUT, || {
            let (mut redis, workers) = (redis.clone(), workers.clone());
            async move {
                let found: usize = redis::cmd("ZCARD").arg(workers).query_async(&mut redis).await.unwrap_or(0);
                if found >= wanted { Ok(()) } else { Err(found) }
            }
        })
        .await;
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEASEHOLD_")) {
            command.env_remove(name);
        }
        command
            .current_dir(self.folder.path())
            .env("LEASEHOLD_DATABASE_URL", exposed(self.config.database.url.as_ref()))
            .env("LEASEHOLD_DATABASE__POOLER", self.config.database.pooler.as_str())
            .env("LEASEHOLD_REDIS_URL", self.redis_url())
            .env("LEASEHOLD_REDIS__KEY_PREFIX", self.config.redis.key_prefix.to_string())
            .env("LEASEHOLD_WORKER__LEASE_MS", self.config.worker.lease_ms.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    fn redis_url(&self) -> &str {
        exposed(self.config.redis.url.as_ref())
    }

    /// A folder that is deleted with the fleet.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that probes of this fleet write to.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("probes.log")
    }

    /// A probe that runs for `ms`.
    pub(crate) fn probe(&self, ms: u64) -> Probe {
        Probe { log: self.log(), ms, is_poison: false }
    }

    /// The number that a query returns.
    pub(crate) async fn count(&self, database: &mut PgConnection, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(database).await.expect("counting")
    }

    /// Waits until this many jobs have succeeded.
    pub(crate) async fn wait_until_succeeded(&self, wanted: i64) {
        let store = self.stores.database.connect().await;
        let database = Arc::new(Mutex::new(store));
        eventually("enough jobs have succeeded", TIMEOUT, || {
            let database = database.clone();
            async move {
                let mut database = database.lock().await;
                let found: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE state = 'succeeded'")
                    .fetch_one(&mut *database)
                    .await
                    .unwrap_or(-1);
                if found >= wanted { Ok(()) } else { Err(found) }
            }
        })
        .await;
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("starting a process of the fleet"))
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Freezes the process. Returns after it has stopped, because a signal takes a moment to arrive.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let status = waitpid(self.nix_pid(), Some(WaitPidFlag::WUNTRACED)).expect("waiting for a process to stop");
        assert!(matches!(status, WaitStatus::Stopped(..)), "expected a stopped process, found: {status:?}");
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.nix_pid(), signal).expect("sending a signal");
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        forget_clock_of(self.pid());
    }
}

fn exposed(url: Option<&SecretString>) -> &str {
    url.expect("a URL").expose_secret()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a short time")
}
