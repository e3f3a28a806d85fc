//! Both stores, processes that die at a given point, and what they leave behind.

use leasehold::{Client, Config, JobId, JobRecord, NewJob, QueueName, State, Store};
use leasehold_core::FailPoint;
use leasehold_handoff::{Handoff, Held};
use leasehold_reaper::{Reaper, StepReport, examine};
use leasehold_tests::{Mortal, Probe, Step, Stores, eventually, private_folder, quick_reaper, read_log};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{json, value::to_raw_value};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

/// The timeout of each wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Both stores and the folder of one test.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) handoff: Handoff,
    pub(crate) reaper: Reaper,
    stores: Stores,
    folder: TempDir,
}

/// The place in Redis that holds a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintPlace {
    Nowhere,
    Ready,
    /// A blocking take has moved the hint here, and no lease covers it.
    Claimed,
    Leased,
}

/// The state of a job, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) state: State,
    pub(crate) epoch: i32,
    pub(crate) attempt: i32,
    pub(crate) crashes: i16,
    pub(crate) hint: HintPlace,
}

/// A job that no worker has claimed yet.
pub(crate) const fn untouched(hint: HintPlace) -> Left {
    Left { state: State::Queued, epoch: 0, attempt: 0, crashes: 0, hint }
}

/// A fold of the counts may come with any tick, and moves no job.
fn changes_jobs(report: &&StepReport) -> bool {
    report.changed > 0 && !["counts", "minutes"].contains(&report.step)
}

impl Scene {
    /// Empty stores, and a reaper that has watched PostgreSQL long enough to expire leases.
    pub(crate) async fn start() -> Self {
        let stores = Stores::start().await;
        let config = Config::new(&stores.database.url, &stores.redis.url);
        let client = Client::connect(&config).await.expect("a client");
        let store = client.store().clone();
        let handoff = Handoff::connect(&config.handoff_settings().expect("a URL")).await.expect("Redis");
        let mut reaper = Reaper::new(store.clone(), handoff.clone(), quick_reaper());
        eventually("the reaper may expire", TIMEOUT, async || {
            let reports = reaper.tick().await;
            if reports.iter().any(|report| report.step == "expire") { Ok(()) } else { Err(reports) }
        })
        .await;
        Self { client, store, handoff, reaper, stores, folder: private_folder() }
    }

    pub(crate) const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Starts a process with a role that dies at a fail point.
    pub(crate) fn mortal(&self, role: &[&str], dies_at: impl Into<Option<FailPoint>>) -> Mortal {
        let program = env!("CARGO_BIN_EXE_mortal");
        Mortal::start(program, role, &self.stores, self.folder.path(), dies_at.into())
    }

    /// Starts a worker that does not die.
    pub(crate) fn worker(&self) -> Mortal {
        self.mortal(&["worker", "4"], None)
    }

    /// The file that probes write to.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("probes.log")
    }

    pub(crate) fn probe(&self, ms: u64) -> Probe {
        Probe { log: self.log(), ms, is_poison: false }
    }

    /// Enqueues a probe: a job in the line, with a hint in Redis.
    pub(crate) async fn enqueue(&self) -> JobId {
        self.client.enqueue(self.probe(0)).send().await.expect("enqueueing").get()
    }

    /// A job from which a probe with this id follows, and its id.
    pub(crate) fn followed(&self, next: JobId) -> (JobId, NewJob) {
        let payload = json!({ "probe": self.probe(0), "next": self.probe(0), "next_id": next });
        let payload = to_raw_value(&payload).expect("JSON");
        let job = NewJob::new("followed".parse().expect("a kind"), payload);
        (job.id, job)
    }

    /// The number of runs that have started.
    pub(crate) fn begun(&self, id: JobId) -> usize {
        read_log(&self.log()).iter().filter(|line| line.id == id.0 && line.step == Step::Start).count()
    }

    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.client.job(id).await.expect("reading a job").expect("the job")
    }

    /// The state of a job in both stores.
    pub(crate) async fn left(&self, id: JobId) -> Left {
        let job = self.record(id).await;
        let snapshot = self.handoff.snapshot(&QueueName::default()).await.expect("reading a queue");
        let leased = |(held, how): &(JobId, Held)| *held == id && matches!(how, Held::Leased { .. });
        let hint = if snapshot.ready.contains(&id) {
            HintPlace::Ready
        } else if snapshot.claimed.contains(&id) {
            HintPlace::Claimed
        } else if snapshot.held.iter().any(leased) {
            HintPlace::Leased
        } else {
            HintPlace::Nowhere
        };
        Left { state: job.state, epoch: job.epoch, attempt: job.attempt, crashes: job.crashes, hint }
    }

    /// Runs one tick of the reaper. Returns how much this step changed.
    pub(crate) async fn tick(&mut self, step: &str) -> u64 {
        changed(&self.reaper.tick().await, step)
    }

    /// Ticks until a worker can take the job. Returns the steps that changed anything.
    pub(crate) async fn ready_again(&mut self, id: JobId) -> Vec<&'static str> {
        let mut steps: Vec<&'static str> = Vec::new();
        for _ in 0..1_000 {
            let reports = self.reaper.tick().await;
            steps.extend(reports.iter().filter(changes_jobs).map(|report| report.step));
            let left = self.left(id).await;
            if (left.state, left.hint) == (State::Queued, HintPlace::Ready) {
                steps.dedup();
                return steps;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the job did not return to the head: {:?}; steps: {steps:?}", self.left(id).await);
    }

    /// Ticks until Redis holds nothing. Returns the steps that changed anything.
    pub(crate) async fn redis_is_empty(&mut self) -> Vec<&'static str> {
        let mut steps: Vec<&'static str> = Vec::new();
        for _ in 0..1_000 {
            let reports = self.reaper.tick().await;
            steps.extend(reports.iter().filter(changes_jobs).map(|report| report.step));
            if self.handoff.queues().await.expect("reading queues").is_empty() {
                steps.dedup();
                return steps;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Redis still holds something; steps: {steps:?}");
    }

    /// Starts a live worker. Checks that the job succeeds after this many runs in total, and that both stores are
    /// consistent.
    pub(crate) async fn succeeds(mut self, id: JobId, runs: usize) {
        let worker = self.worker();
        eventually("the job has succeeded", TIMEOUT, async || {
            self.reaper.tick().await;
            // A job that follows from another one may not be there yet.
            let state = self.client.job(id).await.expect("reading a job").map_or(State::Blocked, |job| job.state);
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

/// How much a step changed.
pub(crate) fn changed(reports: &[StepReport], step: &str) -> u64 {
    reports.iter().find(|report| report.step == step).unwrap_or_else(|| panic!("no {step} among {reports:?}")).changed
}
