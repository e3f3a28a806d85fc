//! The registry of live processes. An announcement expires: a process that stops announcing itself counts as gone.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Kind, QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use uuid::Uuid;

/// What a worker announces every few seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// A new id for each start.
    pub id: WorkerId,
    /// The host that the worker runs on. In Kubernetes: the name of the pod.
    pub host: String,
    /// The process id on that host.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// The start time, as text for operators.
    pub started_at: String,
    /// Each queue and its number of slots.
    pub queues: Vec<(QueueName, u32)>,
    /// The served kinds. `None` means every kind.
    pub kinds: Option<Vec<Kind>>,
    /// The number of jobs that run now.
    pub running: u32,
    /// For how many whole seconds the oldest of these runs has been claimed. `None` if nothing runs, or if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_run_s: Option<u64>,
    /// The worker stops: its runs may end, and it takes no more jobs.
    #[serde(default)]
    pub draining: bool,
    /// The data of the server about a client that claims over HTTP. The host, the process and the version of such a worker are
    /// not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpWorker>,
}

/// The data of the server about a worker that claims over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpWorker {
    /// The server that announces the worker, as `host:pid`.
    pub server: String,
    /// When a claim of the worker last came or was answered, as text for operators.
    pub last_claim_at: String,
    /// Its claims that wait for jobs.
    pub waiting: u32,
}

/// For how long Redis remembers that a worker served a kind.
pub const SERVED_REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// When a worker last served a kind in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastServed {
    /// The kind. `None`: the worker served every kind.
    pub kind: Option<Kind>,
    /// How long ago, by the clock of the store. Exact to half a minute; for a worker over HTTP, since its last claim.
    pub ago: Duration,
}

/// The registry of workers.
#[async_trait]
pub trait WorkerRegistry: fmt::Debug + Send + Sync {
    /// Checks that the store can do everything that a worker needs.
    async fn check(&self) -> Result<(), Error>;

    /// Announces that a worker is alive, and which queues and kinds it serves. Expires after `ttl`.
    async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> Result<(), Error>;

    /// Remembers that a worker serves its kinds now, for [`SERVED_REMEMBERED_FOR`]. No decision depends on it.
    async fn note_served(&self, worker: &WorkerRecord) -> Result<(), Error>;

    /// Withdraws the announcement.
    async fn withdraw(&self, worker: &WorkerRecord) -> Result<(), Error>;
}

/// Reads the registry of workers.
#[async_trait]
pub trait ListWorkers: fmt::Debug + Send + Sync {
    /// The live workers.
    async fn workers(&self) -> Result<Vec<WorkerRecord>, Error>;

    /// When workers last served the kinds of a queue, as far as it is remembered. A store that was emptied remembers nothing from
    /// before.
    async fn last_served(&self, queue: &QueueName) -> Result<Vec<LastServed>, Error>;
}

/// The registry of reapers.
#[async_trait]
pub trait ReaperRegistry: fmt::Debug + Send + Sync {
    /// The generation of the head, and whether this call created it because there was none.
    async fn generation(&self) -> Result<(String, bool), Error>;

    /// Announces that a reaper lives. Expires after `ttl`.
    async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error>;

    /// Withdraws the announcement.
    async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error>;
}
