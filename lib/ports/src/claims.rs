//! Claims: a job in the line becomes a run that a worker holds on a lease. And the status of jobs that were not claimed.

use crate::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Claimability, ClaimedJob, JobId, Kind, QueueName, State, WorkerId};
use std::{fmt, time::Duration};

/// The kinds that a worker has handlers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind.
    All,
    /// Only these kinds.
    Only(Vec<Kind>),
}

impl Kinds {
    /// The kinds in the form for statements: `None` means every kind.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&str>> {
        match self {
            Self::All => None,
            Self::Only(kinds) => Some(kinds.iter().map(Kind::as_str).collect()),
        }
    }

    /// Whether this kind is included.
    #[must_use]
    pub fn include(&self, kind: &Kind) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(kind),
        }
    }
}

/// Claims of jobs.
#[async_trait]
pub trait Claims: fmt::Debug + Send + Sync {
    /// Claims the jobs of these hints that are queued in the queue of the hints, of a served kind, and paused neither with their
    /// queue nor with their kind. The answer has the order of `ids`. A lock of another transaction blocks only its own job.
    async fn claim(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error>;

    /// The same for hints that were refused before because of a lock or of crashes. Claims up to `limit` jobs and waits
    /// for no lock.
    async fn claim_careful(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error>;

    /// Claims from the front of the line, without hints. `with_crashed`: also claims jobs that have lost a lease
    /// before.
    async fn claim_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Result<Vec<ClaimedJob>, Error>;

    /// Whether a job with a higher priority always comes first in the queue, so that workers do not prefetch jobs.
    async fn is_strict(&self, queue: &QueueName) -> Result<bool, Error>;

    /// When a claim may get the next token for a job at the front of the line, if a job with limit keys waits for one.
    async fn next_token(&self, queue: &QueueName, kinds: &Kinds) -> Result<Option<Duration>, Error>;

    /// The queues among these that have a queued job, even if the job cannot be claimed now.
    async fn queues_in_line(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error>;
}

/// The status of a live job that a hint refers to.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    /// The queue of the job. It differs from the queue of the hint if the job was moved.
    pub queue: QueueName,
    pub kind: Kind,
    /// The position in the line, if the job is queued.
    pub line_at: DateTime<Utc>,
    /// Whether a worker of the given kinds may claim the job. Never `Finished`: the job is live.
    pub claimability: Claimability,
    /// The rest of a running job's lease; negative when the lease ran out and `expire` has not ended the run yet.
    pub lease_ms_left: Option<i64>,
    /// When a claim may get the token that the job waits for, if a limit key has none now.
    pub token_in: Option<Duration>,
}

/// Looks up jobs. Changes nothing.
#[async_trait]
pub trait LookUp: fmt::Debug + Send + Sync {
    /// The live jobs among these, and whether a worker of these kinds may claim each. A job that is not in the answer has
    /// finished or never existed.
    async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error>;
}
