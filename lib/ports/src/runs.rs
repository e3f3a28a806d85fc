//! Runs that a worker holds: their leases, and how they end.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Epoch, Fence, FinishedRun, JobId, QueueName, Settled, WorkerId};
use std::{fmt, time::Duration};

/// One lease that still stands.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Renewed {
    pub id: JobId,
    pub epoch: Epoch,
    pub cancel_wanted: bool,
    /// Another transaction has locked the row: the lease stands, but was not made longer.
    pub locked: bool,
}

/// A running job and its lease.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Lease {
    pub id: JobId,
    pub queue: QueueName,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// By the clock of the database; negative when the lease ran out and nobody has expired it yet.
    pub lease_ms_left: i64,
}

impl Lease {
    /// Names the run.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        Fence { id: self.id, epoch: self.epoch, worker: self.worker }
    }
}

/// The end of a run that could not be written yet.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The queue of its job.
    pub queue: QueueName,
    /// What to write.
    pub run: FinishedRun,
}

/// The leases of one worker.
#[async_trait]
pub trait Renewals: fmt::Debug + Send + Sync {
    /// Makes the leases of these runs longer. A lease that is not in the answer is lost.
    async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error>;

    /// Every run that this worker holds, whether the worker knows of it or not.
    async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error>;

    /// Answers when the store does.
    async fn ping(&self) -> Result<(), Error>;
}

/// Ends of runs.
#[async_trait]
pub trait Settles: fmt::Debug + Send + Sync {
    /// Ends runs; answers in the order of `runs`. Can be sent again when the answer was lost.
    async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error>;

    /// Leaves the ends of runs whose rows are locked for a reaper to write.
    async fn defer(&self, ends: &[Deferred]) -> Result<(), Error>;
}

/// Ends of runs that workers have left for a reaper.
#[async_trait]
pub trait DeferredSettles: Settles {
    /// Up to `limit` of them, the oldest first.
    async fn deferred(&self, limit: i64) -> Result<Vec<Deferred>, Error>;

    /// Forgets those that have been decided.
    async fn deferred_done(&self, runs: &[Fence]) -> Result<(), Error>;
}
