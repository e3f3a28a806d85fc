//! Both stores, the API server, and reapers.

use crate::api_server::ApiServer;
use leasehold_core::WorkerId;
use leasehold_handoff::{Handoff, WorkerRecord};
use leasehold_kubernetes::{Account, PodsOfCluster};
use leasehold_reaper::{PodCosts, Reaper, StepTotals, Watch};
use leasehold_store::Store;
use leasehold_tests::{Mortal, Stores, eventually, private_folder, quick_reaper};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The time limit of each wait.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The time between two rounds of reapers in the test itself.
pub(crate) const EVERY: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(600);

pub(crate) struct Scene {
    pub(crate) server: ApiServer,
    pub(crate) handoff: Handoff,
    pub(crate) stores: Stores,
    folder: TempDir,
}

/// A reaper that runs until this value is dropped.
pub(crate) struct Running {
    pub(crate) watch: Watch,
    pub(crate) account: Account,
    _task: AbortOnDropHandle<()>,
}

impl Running {
    /// What the step has done so far.
    pub(crate) fn pods(&self) -> StepTotals {
        self.of("pods")
    }

    pub(crate) fn of(&self, step: &str) -> StepTotals {
        self.watch.totals().steps.get(step).copied().unwrap_or_default()
    }
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let (stores, server) = (Stores::start().await, ApiServer::start().await);
        let config = leasehold::Config::new(&stores.database.url, &stores.redis.url);
        let handoff = Handoff::connect(&config.handoff_settings().expect("a URL")).await.expect("Redis");
        Self { server, handoff, stores, folder: private_folder() }
    }

    /// A reaper in this process, with an account of this name.
    pub(crate) async fn reaper(&self, name: &str) -> Running {
        let config = leasehold::Config::new(&self.stores.database.url, &self.stores.redis.url);
        let store = Store::connect(&config.store_settings(name).expect("a URL")).await.expect("PostgreSQL");
        let account = self.server.account(name);
        let pods = Arc::new(PodsOfCluster::new(account.clone(), "app=worker".to_owned()));
        let costs = PodCosts { pods, election: Arc::new(store.election()), every: EVERY };
        let reaper = Reaper::new(store, self.handoff.clone(), quick_reaper()).with_pods(costs);
        let watch = reaper.watch();
        let task = AbortOnDropHandle::new(tokio::spawn(reaper.run(CancellationToken::new())));
        Running { watch, account, _task: task }
    }

    /// A reaper that is a process, with an account of this name.
    pub(crate) fn process(&self, name: &str) -> Mortal {
        let account = self.server.account(name);
        let (address, folder) = (self.server.address.to_string(), account.folder);
        let role = ["reaper", "--api-server", &address, "--account", folder.to_str().expect("UTF-8")];
        self.mortal(&role)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn mortal(&self, role: &[&str]) -> Mortal {
        Mortal::start(env!("CARGO_BIN_EXE_mortal"), role, &self.stores, self.folder.path(), None)
    }

    /// Announces a worker in the pod of this name.
    pub(crate) async fn worker(&self, pod: &str) -> WorkerRecord {
        let worker = WorkerRecord {
            id: WorkerId::new(),
            host: pod.to_owned(),
            pid: 1,
            version: "0.1.0".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            queues: Vec::new(),
            kinds: None,
            running: 0,
            oldest_run_s: None,
            draining: false,
            http: None,
        };
        self.runs(&worker, 0, None).await
    }

    /// Announces what the worker runs.
    pub(crate) async fn runs(&self, worker: &WorkerRecord, running: u32, oldest_run_s: Option<u64>) -> WorkerRecord {
        let worker = WorkerRecord { running, oldest_run_s, ..worker.clone() };
        self.handoff.announce(&worker, LONG).await.expect("announce");
        worker
    }

    /// Waits until the pods have these costs, and no other pod has one.
    pub(crate) async fn until_costs(&self, wanted: &[(&str, &str)]) {
        let wanted = wanted.iter().map(|(pod, cost)| ((*pod).to_owned(), (*cost).to_owned())).collect();
        eventually("the costs", SOON, async || {
            let costs = self.server.costs();
            if costs == wanted { Ok(()) } else { Err(costs) }
        })
        .await;
    }

    /// Waits until reapers have read all pods this many more times.
    pub(crate) async fn rounds(&self, more: usize) {
        let wanted = self.server.rounds() + more;
        eventually("some rounds", SOON, async || {
            let rounds = self.server.rounds();
            if rounds >= wanted { Ok(()) } else { Err((rounds, wanted)) }
        })
        .await;
    }
}
