//! The calls that only a reaper makes to the authority: its clock, the leases of all workers, notes of repairs,
//! retention.

use crate::{error::Error, runs::Lease};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, State};
use serde::Serialize;
use std::{fmt, time::Duration};
use uuid::Uuid;

/// What the server reports about its clock and its uptime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// The server's clock, which decides about leases and due jobs.
    pub now: DateTime<Utc>,
    /// For how long the server has been up.
    pub up_for: Duration,
    /// Which transactions have ended. While this text stays the same, no row has changed.
    pub snapshot: String,
    /// How long ago a reaper last confirmed that workers could renew their leases. `None`: no reaper ever confirmed it.
    pub watched_ago: Option<Duration>,
    /// Whether workers have left results for a reaper to write.
    pub has_deferred: bool,
    /// Whether there are ended parents with children that were not told of the end.
    pub has_ended_parents: bool,
    /// Whether jobs with limit keys are queued, of which some may wait for room.
    pub has_limited: bool,
    /// Whether changes of limits wait to be applied.
    pub has_limit_changes: bool,
    /// Whether jobs with fair keys are queued, or weights have changed.
    pub has_fair: bool,
    /// Whether the jobs of a line must move, because the priority step of its queue has changed.
    pub has_reorders: bool,
    /// Whether a batch is sealed and not complete.
    pub has_batches: bool,
    /// The time for answers to HTTP workers has passed, and their servers have not noted that they were written.
    pub has_undelivered: bool,
    /// Whether numbers of jobs have changed since they were last folded.
    pub has_count_changes: bool,
}

/// One repair that applies to several jobs.
#[derive(Clone, Debug)]
pub struct Repair {
    /// The process that makes the repair.
    pub by: Uuid,
    /// The jobs, each with the epoch of the run that the repair is about; `None`: any run.
    pub jobs: Vec<(JobId, Option<Epoch>)>,
    /// The job's state when the problem was found; `None`: any live state.
    pub state: Option<State>,
    /// For how long the problem has existed. A job that was claimed within this time has moved on by itself.
    pub unclaimed_for: Duration,
    /// The problem, the repair, and the process that made the repair.
    pub note: String,
}

/// The result of the retention step.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Retained {
    pub partitions_made: u32,
    pub partitions_dropped: u32,
    pub rows_moved: u64,
    pub rows_deleted: u64,
    pub edges_deleted: u64,
    pub batches_deleted: u64,
}

/// The upkeep of the authority.
#[async_trait]
pub trait Upkeep: fmt::Debug + Send + Sync {
    /// The server's clock and uptime. An error if the server takes no writes.
    async fn uptime(&self) -> Result<Uptime, Error>;

    /// Records that the server could be reached until now, and that leases may expire.
    async fn keep_watch(&self) -> Result<(), Error>;

    /// Leases of running jobs, ordered by their end: all of them, or only those that end at or after `since`.
    async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Lease>, Error>;

    /// Records a repair in the trails of jobs. Returns the jobs that the repair applies to.
    async fn note_repairs(&self, repair: &Repair) -> Result<Vec<JobId>, Error>;

    /// Drops history that is older than the retention, and creates partitions ahead of time.
    async fn retain(&self, keep: Duration) -> Result<Retained, Error>;

    /// Adds the changes of the numbers of jobs to the counts. Returns how many changes these were: 0 if it is too early, or if another
    /// process does so.
    async fn fold_counts(&self) -> Result<u64, Error>;

    /// Adds up how many jobs ended in each past minute, and how long they waited and ran. Returns how many rows this has made: 0
    /// if no job has ended in a new minute, or if another process does so.
    async fn roll_up_minutes(&self) -> Result<u64, Error>;

    /// Counts all jobs again. Returns whether this process has done so: `false` if another process is changing the counts.
    async fn recount(&self) -> Result<bool, Error>;
}
