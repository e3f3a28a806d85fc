//! What only a reaper asks of the authority: its time, the leases of all workers, notes of repairs, retention.

use crate::{error::Error, runs::Lease};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, State};
use serde::Serialize;
use std::{fmt, time::Duration};
use uuid::Uuid;

/// What the server says of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Its clock, which decides about leases and what is due.
    pub now: DateTime<Utc>,
    /// How long it has been up.
    pub up_for: Duration,
    /// Which transactions have ended. As long as it stays the same, no row has changed.
    pub snapshot: String,
    /// How long ago some reaper knew that nothing kept workers from renewing their leases. `None`: no reaper ever said so.
    pub watched_ago: Option<Duration>,
    /// Whether workers have left ends of runs for a reaper to write.
    pub has_deferred: bool,
}

/// The same thing put right about some jobs.
#[derive(Clone, Debug)]
pub struct Repair {
    /// Which process does it.
    pub by: Uuid,
    /// The jobs, each with the epoch of the run that it is about; `None` for any.
    pub jobs: Vec<(JobId, Option<Epoch>)>,
    /// The state in which this was wrong; `None` for any live one.
    pub state: Option<State>,
    /// For how long it has been so: a job that was claimed since has moved on by itself.
    pub unclaimed_for: Duration,
    /// What was wrong, what was done, and by whom.
    pub note: String,
}

/// What the retention step did.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Retained {
    pub partitions_made: u32,
    pub partitions_dropped: u32,
    pub rows_moved: u64,
    pub rows_deleted: u64,
}

/// The upkeep of the authority.
#[async_trait]
pub trait Upkeep: fmt::Debug + Send + Sync {
    /// What the server's clock says, and how long the server has been up. An error also if it takes no writes.
    async fn uptime(&self) -> Result<Uptime, Error>;

    /// A reaper says that the server could be reached until now, and that leases may expire.
    async fn keep_watch(&self) -> Result<(), Error>;

    /// Leases of running jobs, those that run out first first: all of them, or those that end at or after `since`.
    async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Lease>, Error>;

    /// Writes what was put right about jobs into their trails. The answer: which jobs the repair was about.
    async fn note_repairs(&self, repair: &Repair) -> Result<Vec<JobId>, Error>;

    /// Keeps history to its age.
    async fn retain(&self, keep: Duration) -> Result<Retained, Error>;
}
