//! Claims: a job in the line becomes a run that a worker holds on a lease.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{ClaimedJob, JobId, Kind, QueueName, WorkerId};
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
    /// Claims the jobs of these hints that are queued, of a served kind and not in a paused queue. The answer has the
    /// order of `ids`. A lock of another transaction blocks only its own job.
    async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error>;

    /// The same for hints that were refused before because of a lock or of crashes. Claims up to `limit` jobs and waits
    /// for no lock.
    async fn claim_careful(
        &self,
        worker: WorkerId,
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
}
