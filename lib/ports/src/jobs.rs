//! The calls of clients: enqueue jobs, cancel them, revive them, show them.

use crate::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, JobRecord, NewJob, QueueName, State, WorkerId};
use serde::Serialize;
use std::fmt;

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    /// The job's id: the id that was sent, or the id of the job that already exists.
    pub id: JobId,
    /// Whether this call inserted the job.
    pub inserted: bool,
    /// The job's state.
    pub state: State,
    /// The position in the line of a job that this call inserted.
    #[serde(skip)]
    pub line_at: Option<DateTime<Utc>>,
}

/// The answer to one cancel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
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

/// The answer to one revive.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Revived {
    pub id: JobId,
    pub queue: QueueName,
    pub line_at: DateTime<Utc>,
}

/// Jobs from a client's view.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync {
    /// Enqueues jobs, each exactly once, no matter how often a job is sent. Answers have the order of `jobs`.
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error>;

    /// Cancels jobs. The answer leaves out ids that belong to no job.
    async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error>;

    /// Moves finished jobs back to the line with new attempts, and scheduled jobs at once. The answer leaves out all
    /// other jobs.
    async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error>;

    /// One job, live or finished.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error>;

    /// Pauses a queue: no job of it is claimed. Returns whether that changed anything.
    async fn pause(&self, queue: &QueueName) -> Result<bool, Error>;

    /// Resumes a queue. Returns whether that changed anything.
    async fn resume(&self, queue: &QueueName) -> Result<bool, Error>;
}
