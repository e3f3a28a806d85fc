//! Both stores, processes that die where they are told, and what they leave behind.

use leasehold::{Client, Config, JobId, JobRecord, QueueName, State, Store};
use leasehold_core::FailPoint;
use leasehold_handoff::{Handoff, Held};
use leasehold_reaper::{Reaper, StepReport, examine};
use leasehold_tests::{Probe, Step, Stores, eventually, private_folder, quick_reaper, read_log};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// What is waited for at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Both stores and the folder of one test.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) handoff: Handoff,
    pub(crate) reaper: Reaper,
    stores: Stores,
    folder: TempDir,
}

/// Where Redis holds a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintHome {
    Nowhere,
    Ready,
    /// A blocking take has moved it, and no lease covers it.
    Claimed,
    Leased,
}

/// What can be seen of a job from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) state: State,
    pub(crate) epoch: i32,
    pub(crate) attempt: i32,
    pub(crate) crashes: i16,
    pub(crate) hint: HintHome,
}

/// A job that nobody has claimed yet.
pub(crate) const fn untouched(hint: HintHome) -> Left {
    Left { state: State::Queued, epoch: 0, attempt: 0, crashes: 0, hint }
}

/// A process of the fleet. Killed when it is dropped.
pub(crate) struct Member(Child);

impl Member {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scene {
    /// Stores with nothing in them, and a reaper that has seen enough of PostgreSQL to expire.
    pub(crate) async fn start() -> Self {
        let stores = Stores::start().await;
        let config = Config::new(&stores.database.url, &stores.redis.url);
        let client = Client::connect(&config).await.expect("a client");
        let store = client.store().clone();
        let handoff = Handoff::connect(&config.handoff_settings().expect("a URL")).await.expect("Redis");
        let mut reaper = Reaper::new(store.clone(), handoff.clone(), quick_reaper());
        eventually("the reaper may expire", PATIENCE, async || {
            let reports = reaper.tick().await;
            if reports.iter().any(|report| report.step == "expire") { Ok(()) } else { Err(reports) }
        })
        .await;
        Self { client, store, handoff, reaper, stores, folder: private_folder() }
    }

    pub(crate) const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// A process in a role, that dies at a place.
    pub(crate) fn mortal(&self, role: &[&str], dies_at: impl Into<Option<FailPoint>>) -> Member {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mortal"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEASEHOLD_")) {
            command.env_remove(name);
        }
        command
            .args(role)
            .current_dir(self.folder.path())
            .env("LEASEHOLD_DATABASE_URL", &self.stores.database.url)
            .env("LEASEHOLD_REDIS_URL", &self.stores.redis.url)
            .env("LEASEHOLD_WORKER__LEASE_MS", "1000")
            .env("LEASEHOLD_WORKER__GRACE_MS", "100")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(point) = dies_at.into() {
            let name = serde_json::to_value(point).expect("a name");
            command.arg("--dies-at").arg(name.as_str().expect("a name"));
        }
        Member(command.spawn().expect("starting a process"))
    }

    /// A worker that lives.
    pub(crate) fn worker(&self) -> Member {
        self.mortal(&["worker", "4"], None)
    }

    /// Waits until a process has died as it was told.
    pub(crate) async fn dead(&self, mut member: Member) {
        let status = eventually("the process has died at its place", PATIENCE, async || {
            member.0.try_wait().expect("waiting for a process").ok_or("it lives")
        })
        .await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "it was to die at its place: {status}");
    }

    /// Where probes write.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("probes.log")
    }

    pub(crate) fn probe(&self, ms: u64) -> Probe {
        Probe { log: self.log(), ms, is_poison: false }
    }

    /// A probe in the line, with its hint in Redis.
    pub(crate) async fn enqueue(&self) -> JobId {
        self.client.enqueue(self.probe(0)).send().await.expect("enqueueing").get()
    }

    /// Runs that have begun.
    pub(crate) fn begun(&self, id: JobId) -> usize {
        read_log(&self.log()).iter().filter(|line| line.id == id.0 && line.step == Step::Start).count()
    }

    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.client.job(id).await.expect("reading a job").expect("the job")
    }

    /// What is left of a job in both stores.
    pub(crate) async fn left(&self, id: JobId) -> Left {
        let job = self.record(id).await;
        let snapshot = self.handoff.snapshot(&QueueName::default()).await.expect("reading a queue");
        let leased = |(held, how): &(JobId, Held)| *held == id && matches!(how, Held::Leased { .. });
        let hint = if snapshot.ready.contains(&id) {
            HintHome::Ready
        } else if snapshot.claimed.contains(&id) {
            HintHome::Claimed
        } else if snapshot.held.iter().any(leased) {
            HintHome::Leased
        } else {
            HintHome::Nowhere
        };
        Left { state: job.state, epoch: job.epoch, attempt: job.attempt, crashes: job.crashes, hint }
    }

    /// One tick of the reaper; what a step changed in it.
    pub(crate) async fn tick(&mut self, step: &str) -> u64 {
        changed(&self.reaper.tick().await, step)
    }

    /// Ticks until a job is where a worker can take it; the steps that changed anything on the way.
    pub(crate) async fn ready_again(&mut self, id: JobId) -> Vec<&'static str> {
        let mut steps: Vec<&'static str> = Vec::new();
        for _ in 0..1_000 {
            let reports = self.reaper.tick().await;
            steps.extend(reports.iter().filter(|report| report.changed > 0).map(|report| report.step));
            let left = self.left(id).await;
            if (left.state, left.hint) == (State::Queued, HintHome::Ready) {
                steps.dedup();
                return steps;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the job did not come back: {:?}; steps: {steps:?}", self.left(id).await);
    }

    /// Ticks until Redis holds nothing; the steps that changed anything on the way.
    pub(crate) async fn redis_is_empty(&mut self) -> Vec<&'static str> {
        let mut steps: Vec<&'static str> = Vec::new();
        for _ in 0..1_000 {
            let reports = self.reaper.tick().await;
            steps.extend(reports.iter().filter(|report| report.changed > 0).map(|report| report.step));
            if self.handoff.queues().await.expect("reading queues").is_empty() {
                steps.dedup();
                return steps;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Redis still holds something; steps: {steps:?}");
    }

    /// With a worker that lives: the job succeeds, after so many runs in all, and both stores are whole.
    pub(crate) async fn succeeds(mut self, id: JobId, runs: usize) {
        let worker = self.worker();
        eventually("the job has succeeded", PATIENCE, async || {
            self.reaper.tick().await;
            let state = self.record(id).await.state;
            if state == State::Succeeded { Ok(()) } else { Err(state) }
        })
        .await;
        assert_eq!(self.begun(id), runs, "runs");
        kill(Pid::from_raw(worker.pid()), Signal::SIGTERM).expect("stopping the worker");
        self.redis_is_empty().await;
        let found = examine(&self.store, &self.handoff).await.expect("examining both stores").findings;
        assert!(found.is_empty(), "{found:?}");
    }
}

/// What a step changed.
pub(crate) fn changed(reports: &[StepReport], step: &str) -> u64 {
    reports.iter().find(|report| report.step == step).unwrap_or_else(|| panic!("no {step} among {reports:?}")).changed
}
