//! What clients ask about jobs: to accept them, to end them early, to give them a new budget, to show them.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Epoch, JobId, JobRecord, NewJob, QueueName, State, WorkerId};
use serde::Serialize;
use std::fmt;

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    /// The job's id: the one sent, or that of the job which was there already.
    pub id: JobId,
    /// Whether this call made it.
    pub inserted: bool,
    /// Its state.
    pub state: State,
}

/// The answer to one cancel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Cancelled {
    pub id: JobId,
    pub queue: QueueName,
    /// After the call: `Cancelled`, `Running` (its worker is to be told) or the final state it had before.
    pub state: State,
    pub running: Option<(WorkerId, Epoch)>,
    /// Whether this call changed anything.
    pub changed: bool,
}

/// The answer to one revive.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Revived {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
}

/// Jobs, as a client sees them.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync {
    /// Accepts jobs, each exactly once however often it is sent; answers in the order of `jobs`.
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error>;

    /// Cancels jobs. An id of no job is not in the answer.
    async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error>;

    /// Finished jobs back to the line with a new budget; scheduled ones at once. Others are not in the answer.
    async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error>;

    /// One job, live or finished.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error>;

    /// Keeps the jobs of a queue from being claimed: whether that is a change.
    async fn pause(&self, queue: &QueueName) -> Result<bool, Error>;

    /// Ends a pause: whether that is a change.
    async fn resume(&self, queue: &QueueName) -> Result<bool, Error>;
}
