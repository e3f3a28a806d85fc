//! The calls of clients: enqueue jobs, wait for them, cancel them, revive them, show them.

use crate::{due::Waiting, error::Error};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, JobRecord, Kind, NewJob, Place, QueueName, State, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, time::Duration};

/// The longest priority step: 60 years. No job waits that long, so each higher priority comes first, whenever its jobs came.
/// A hundred points of more would leave the range of PostgreSQL's times.
pub const STRICT_PRIORITY_STEP: Duration = Duration::from_secs(60 * 365 * 24 * 3600);

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Enqueued {
    /// The job's id: the id that was sent, or the id of the job that already exists.
    pub id: JobId,
    /// Whether this call inserted the job.
    pub inserted: bool,
    /// The job's state.
    pub state: State,
    /// Whether this call gave the fields of the new job to a waiting job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// The position in the line of a job that this call inserted or replaced.
    #[serde(skip)]
    pub line_at: Option<DateTime<Utc>>,
}

impl Enqueued {
    /// The answer about a job that this call neither inserted nor replaced, for the stores. [`Enqueued::with`] says otherwise.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, state: State, line_at: Option<DateTime<Utc>>) -> Self {
        Self { id, inserted: false, state, replaced: false, line_at }
    }
}

leasehold_core::with_fields!(Enqueued);

/// The answer to one cancel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
#[non_exhaustive]
pub struct Cancelled {
    pub id: JobId,
    pub queue: QueueName,
    /// The state after the call: `Cancelled`; `Running` (its worker must be told); or the final state that the job had
    /// before.
    pub state: State,
    pub running: Option<(WorkerId, Epoch)>,
    /// Whether this call changed the job.
    pub changed: bool,
}

impl Cancelled {
    /// The answer to a cancel, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        id: JobId,
        queue: QueueName,
        state: State,
        running: Option<(WorkerId, Epoch)>,
        changed: bool,
    ) -> Self {
        Self { id, queue, state, running, changed }
    }
}

/// The answer to one revive.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
#[non_exhaustive]
pub struct Revived {
    pub id: JobId,
    pub queue: QueueName,
    pub line_at: DateTime<Utc>,
}

impl Revived {
    /// The answer to a revive, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, queue: QueueName, line_at: DateTime<Utc>) -> Self {
        Self { id, queue, line_at }
    }
}

/// The answer to a change of the place of one job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Placed {
    /// The job.
    pub id: JobId,
    /// The queue of the job before the call.
    pub was_in: QueueName,
    /// The queue of the job now.
    pub queue: QueueName,
    /// The state of the job, which the call does not change. Only a job that waits can get another place.
    pub state: State,
    /// The new position in the line. `None` if the call did not change the job.
    pub line_at: Option<DateTime<Utc>>,
    /// Whether this call changed the job. A job that waits and was not changed had this place already.
    pub changed: bool,
}

impl Placed {
    /// The answer about a job that the call did not change, for the stores. [`Placed::with`] says otherwise.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, was_in: QueueName, queue: QueueName, state: State) -> Self {
        Self { id, was_in, queue, state, line_at: None, changed: false }
    }
}

leasehold_core::with_fields!(Placed);

/// A finished job.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
#[non_exhaustive]
pub struct Finished {
    pub id: JobId,
    pub state: State,
    pub result: Option<Box<RawValue>>,
    pub last_error: Option<String>,
}

impl Finished {
    /// A finished job, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, state: State, result: Option<Box<RawValue>>, last_error: Option<String>) -> Self {
        Self { id, state, result, last_error }
    }
}

/// A job at one moment of the database's clock.
#[derive(Clone, Debug)]
pub struct JobMoment {
    /// The job.
    pub job: JobRecord,
    /// The time of the database. All times of the job are by the same clock.
    pub as_of: DateTime<Utc>,
    /// Whether the queue of the job is paused.
    pub paused: bool,
    /// Whether the kind of the job is paused in its queue.
    pub kind_paused: bool,
    /// The job with the same unique key that has begun, if only one of these jobs may run.
    pub key_held_by: Option<JobId>,
    /// The transaction that has locked the row of the job, if another session has locked it for a while.
    pub locked_by: Option<RowLocker>,
    /// The limits of a queued job, for each of its keys that has one.
    pub limits: Vec<HeldLimit>,
    /// The share that a queued job waits for; `None`: the job is not parked.
    pub share: Option<FairShare>,
}

/// The reasons why a parked job waits: its turn among the jobs of its fair key, and the turn of the key among the keys of the
/// queue.
#[derive(Clone, Debug, PartialEq)]
pub struct FairShare {
    /// The key of the job.
    pub fair_key: String,
    /// The weight of the key: its part of the queue, compared with the other keys.
    pub weight: f64,
    /// Whether the key is paused in the queue.
    pub paused: bool,
    /// How many keys have parked jobs of the same queue and kind, with this one.
    pub keys: u64,
    /// How many parked jobs of its key are before the job.
    pub before: u64,
    /// Whether there may be more, because the count stopped.
    pub at_least: bool,
}

/// A session that has locked the row of a job, or a row of a limit key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLocker {
    /// The process of the server that serves the session.
    pub pid: i32,
    /// The name that the session gave itself.
    pub application: Option<String>,
    /// When its transaction began.
    pub since: DateTime<Utc>,
}

/// The current effect of a limit key on its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLimit {
    /// The key of the job.
    pub key: String,
    /// The most runs at the same time; `None`: any number.
    pub running: Option<i32>,
    /// How many runs hold a slot of the key.
    pub running_now: i64,
    /// Up to ten of these runs.
    pub holders: Vec<JobId>,
    /// How long until the key has a token; `None`: the key has no rate.
    pub token_in_ms: Option<i64>,
    /// The transaction that has locked a row of the key, which claims need, if another session has locked it for a while.
    pub locked_by: Option<RowLocker>,
}

/// Jobs from a client's view.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync {
    /// Enqueues jobs, each exactly once, no matter how often a job is sent. Answers have the order of `jobs`.
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error>;

    /// Brings parked jobs of a queue into the line, in the order of fair shares. `keys` are the fair keys of jobs that have just been
    /// parked. Returns the jobs that are now in the line.
    async fn admit_fair(&self, queue: &QueueName, keys: &[String]) -> Result<Vec<Waiting>, Error>;

    /// Cancels jobs. The answer leaves out ids that belong to no job.
    async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error>;

    /// Moves finished jobs back to the line with new attempts. Also moves scheduled jobs into the line immediately. The
    /// answer leaves out all other jobs.
    async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error>;

    /// Gives waiting jobs another priority or another queue, and the matching position in the line. Jobs that run or have
    /// finished stay as they are. The answer leaves out ids that belong to no job.
    async fn place(&self, ids: &[JobId], place: &Place) -> Result<Vec<Placed>, Error>;

    /// One job, live or finished.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error>;

    /// The jobs among these that have finished.
    async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error>;

    /// Pauses a queue: no job of the queue is claimed. Returns whether that changed anything.
    async fn pause(&self, queue: &QueueName) -> Result<bool, Error>;

    /// Resumes a queue. Returns whether that changed anything. Kinds that are paused in the queue stay paused.
    async fn resume(&self, queue: &QueueName) -> Result<bool, Error>;

    /// Pauses a kind in a queue: no job of this kind is claimed in this queue. Returns whether that changed anything.
    async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error>;

    /// Resumes a kind in a queue. Returns whether that changed anything. A queue that is paused stays paused.
    async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error>;

    /// Sets what one point of priority is worth in a queue, at most [`STRICT_PRIORITY_STEP`]. Moves the waiting jobs and
    /// returns how many it moved.
    async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error>;

    /// Cancels up to `limit` waiting jobs of a queue. Returns their ids.
    async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error>;
}

/// Answers why a job is where it is.
#[async_trait]
pub trait ExplainJobs: fmt::Debug + Send + Sync {
    /// One job, live or finished, at this moment; `None` if no job has this id.
    async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error>;

    /// The number of jobs before this job in its line, counted up to `limit`. `None` when the job is not in the line.
    async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error>;
}
