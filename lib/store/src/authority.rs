//! What workers and reapers ask of the authority, as a trait: so that the same worker and the same reaper also run on
//! a store that a simulation holds in memory.
//!
//! Only what they call is here. What clients and operators do is on [`Store`] alone.

use crate::{
    cancel_wanted::CancelWanted,
    claim::Kinds,
    connect::Store,
    deferred::Deferred,
    error::Error,
    expire::{Expired, Expiry},
    fingerprint::{Fingerprints, Slice},
    leases::Lease,
    line::{Front, Line},
    line_position::LinePosition,
    look::JobStatus,
    note_repairs::Repair,
    promote::Waiting,
    renew::Renewed,
    retain::Retained,
    survey::{LineSummary, Stretch, Survey},
    uptime::Uptime,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{ClaimedJob, Fence, FinishedRun, JobId, QueueName, Settled, WorkerId};
use std::{fmt, sync::Arc, time::Duration};

macro_rules! authority {
    ($($(#[$doc:meta])* async fn $verb:ident(&self $(, $name:ident: $of:ty)*) -> $answer:ty;)*) => {
        /// The authority, as workers and reapers use it. Each verb is the one of [`Store`] with the same name, with the
        /// same errors.
        #[async_trait]
        pub trait Authority: fmt::Debug + Send + Sync {
            $($(#[$doc])* async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error>;)*
        }

        #[async_trait]
        impl Authority for Store {
            $(async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error> {
                Store::$verb(self $(, $name)*).await
            })*
        }
    };
}

authority! {
    /// Hints become jobs that this worker holds on a lease.
    async fn claim(&self, worker: WorkerId, ids: &[JobId], kinds: &Kinds, lease: Duration) -> Vec<ClaimedJob>;
    /// The same for hints that were refused because of a lock or of crashes: up to `limit` jobs.
    async fn claim_careful(
        &self, worker: WorkerId, ids: &[JobId], kinds: &Kinds, limit: usize, lease: Duration
    ) -> Vec<ClaimedJob>;
    /// The same from the front of the line, without hints.
    async fn claim_line(
        &self, worker: WorkerId, queue: &QueueName, kinds: &Kinds, limit: i64, lease: Duration, with_crashed: bool
    ) -> Vec<ClaimedJob>;
    /// A worker holds on to its runs.
    async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Vec<Renewed>;
    /// Ends runs.
    async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Vec<Settled>;
    /// Leaves the ends of runs whose rows are locked for a reaper to write.
    async fn defer(&self, ends: &[Deferred]) -> ();
    /// The ends of runs that workers have left.
    async fn deferred(&self, limit: i64) -> Vec<Deferred>;
    /// Forgets those that have been decided.
    async fn deferred_done(&self, runs: &[Fence]) -> ();
    /// Why hints were not claimed: the live jobs among them.
    async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Vec<JobStatus>;
    /// Every run that a worker holds.
    async fn held(&self, worker: WorkerId) -> Vec<Lease>;
    /// Answers when the server does.
    async fn ping(&self) -> ();
    /// What the server's clock says, and how long the server has been up.
    async fn uptime(&self) -> Uptime;
    /// A reaper says that the server could be reached until now, and that leases may expire.
    async fn keep_watch(&self) -> ();
    /// Ends runs whose lease ran out.
    async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Vec<Expired>;
    /// The same except for some, and with which of them are locked.
    async fn expire_except(
        &self, limit: i64, since: Option<DateTime<Utc>>, spared: &[JobId], soon: Duration
    ) -> Expiry;
    /// Due jobs into the line.
    async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Vec<Waiting>;
    /// Running jobs whose workers are to be told to stop.
    async fn cancel_wanted(&self, limit: i64) -> Vec<CancelWanted>;
    /// The queues of which nothing is claimed.
    async fn paused(&self) -> Vec<QueueName>;
    /// Where the live jobs begin.
    async fn survey(&self, queue: Option<&QueueName>) -> Survey;
    /// Whether anything changed in some slices of the line, or in what is paused.
    async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Fingerprints;
    /// Where the live jobs begin in some slices of the line.
    async fn survey_slices(&self, slices: &[Slice]) -> Vec<Vec<LineSummary>>;
    /// The first ids of the lines of some queues.
    async fn lines(&self, fronts: &[Front]) -> Vec<(Line, Vec<Stretch>)>;
    /// The first ids of a queue's line.
    async fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> (Line, Vec<Stretch>);
    /// The ids of a queue's line behind a place in it.
    async fn line_after(&self, queue: &QueueName, kinds: &Kinds, after: &LinePosition, limit: i64) -> Line;
    /// Which runs hold a lease.
    async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Vec<Lease>;
    /// What was put right about jobs, into their trails.
    async fn note_repairs(&self, repair: &Repair) -> Vec<JobId>;
    /// Keeps history to its age.
    async fn retain(&self, keep: Duration) -> Retained;
}

impl From<Store> for Arc<dyn Authority> {
    fn from(store: Store) -> Self {
        Arc::new(store)
    }
}
