//! The fleet member: takes hints, claims, runs handlers, keeps the leases alive, settles, and stops gracefully.

use leasehold_core::{Backoff, ClaimedJob, Fence, Kind, Outcome, QueueName, WorkerId};
use leasehold_handoff::Handoff;
use leasehold_store::{Kinds, Store};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How a worker behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The queues it serves, each with its slots: how many jobs of it run at once.
    pub queues: Vec<(QueueName, u32)>,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long handlers may go on after a stop is asked for.
    pub grace: Duration,
    /// How failed jobs are spread.
    pub backoff: Backoff,
}

/// What runs jobs of a kind. Dyn-safe: typed handlers and commands are both behind it.
pub trait Handler: Send + Sync + 'static {
    /// Runs one job to its outcome. Must be ready to be dropped never: the worker waits for it.
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

/// One run, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Run { job: Arc<ClaimedJob>, stop: CancellationToken }

/// Why a handler should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A client cancelled the job.
    Cancelled,
    /// The lease is lost: another worker may have the job by now, and nothing this run writes will count.
    LeaseLost,
    /// The job's timeout has passed.
    TimedOut,
    /// The worker is stopping and its grace is over.
    Stopping,
}

impl Run {
    /// The job.
    #[must_use] pub fn job(&self) -> &ClaimedJob { &self.job }
    /// Names this run; hand it to whatever has side effects, so that a stale run can be told from the current one.
    #[must_use] pub fn fence(&self) -> Fence { self.job.fence }
    /// Ready when the handler should stop.
    pub async fn cancelled(&self) -> StopReason { todo!() }
    /// Why the handler should stop, if it should.
    #[must_use] pub fn stop_reason(&self) -> Option<StopReason> { todo!() }
}

/// Handlers by kind.
#[derive(Clone, Default)]
pub struct Handlers { by_kind: HashMap<Kind, Arc<dyn Handler>>, any: Option<Arc<dyn Handler>> }

impl Handlers {
    /// None yet.
    #[must_use] pub fn new() -> Self { Self::default() }
    /// A handler for one kind. Replaces the one before.
    pub fn insert(&mut self, kind: Kind, handler: Arc<dyn Handler>) { self.by_kind.insert(kind, handler); }
    /// A handler for every kind that has none of its own.
    pub fn insert_any(&mut self, handler: Arc<dyn Handler>) { self.any = Some(handler); }
    /// Which kinds may be claimed.
    #[must_use] pub fn kinds(&self) -> Kinds { todo!() }
}

/// What a worker did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Tally { pub claimed: u64, pub hints_refused: u64, pub succeeded: u64, pub retried: u64, pub snoozed: u64, pub released: u64, pub buried: u64, pub cancelled: u64, pub leases_lost: u64, pub late_results_refused: u64 }

/// A worker process.
pub struct Worker { /* store, handoff, settings, handlers */ }

impl Worker {
    /// A worker with a new id.
    #[must_use] pub fn new(store: Store, handoff: Handoff, settings: Settings, handlers: Handlers) -> Self { todo!() }
    /// Its id.
    #[must_use] pub fn id(&self) -> WorkerId { todo!() }
    /// Runs until `stop` is cancelled, then lets handlers finish for the grace time, releases the rest, and returns what it did.
    /// `stop_now` skips the grace (a second signal).
    pub async fn run(self, stop: CancellationToken, stop_now: CancellationToken) -> Tally { todo!() }
}

/// Runs a command per job: the payload on its standard input, its standard output the result.
#[derive(Clone, Debug)]
pub struct Exec { /* program, arguments, grace */ }

impl Exec {
    /// A shell command line (run by `sh -c`), checked now: its first word must be a program that exists.
    pub fn shell(command: &str, grace: Duration) -> Result<Self, ExecError> { todo!() }
    /// The command is in each job's payload, as `leasehold each` sends it: `{"argv": ["program", "argument", …]}`.
    #[must_use] pub fn from_payload(grace: Duration) -> Self { todo!() }
}

/// A command that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecError(pub String);

impl Handler for Exec {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> { todo!() }
}
