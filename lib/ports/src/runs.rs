//! The runs that a worker holds: their leases and their results.

use crate::{due::Waiting, error::Error};
use async_trait::async_trait;
use leasehold_core::{Epoch, Fence, FinishedRun, JobId, QueueName, Report, Settled, WorkerId};
use std::{fmt, ops::Deref, time::Duration, vec};

/// A lease that is still valid.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Renewed {
    pub id: JobId,
    pub epoch: Epoch,
    pub cancel_wanted: bool,
    /// Another transaction has locked the row: the lease is still valid but was not extended.
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
    /// The rest of the lease by the database's clock. Negative when the lease ran out and `expire` has not ended the
    /// run yet.
    pub lease_ms_left: i64,
}

impl Lease {
    /// The fence of the run.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        Fence { id: self.id, epoch: self.epoch, worker: self.worker }
    }
}

/// The answers to a settle, in the order of the runs. Used as a slice of the answers.
#[derive(Clone, Debug, Default)]
pub struct SettledRuns {
    /// The answer for each run.
    pub answers: Vec<Settled>,
    /// The jobs that waited for these runs, or follow from them, and are now in the line.
    pub unblocked: Vec<Waiting>,
}

impl Deref for SettledRuns {
    type Target = [Settled];
    fn deref(&self) -> &[Settled] {
        &self.answers
    }
}

impl IntoIterator for SettledRuns {
    type Item = Settled;
    type IntoIter = vec::IntoIter<Settled>;
    fn into_iter(self) -> Self::IntoIter {
        self.answers.into_iter()
    }
}

impl<const N: usize> PartialEq<[Settled; N]> for SettledRuns {
    fn eq(&self, answers: &[Settled; N]) -> bool {
        self.answers == answers
    }
}

/// The result of a run that could not be written yet.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The queue of its job.
    pub queue: QueueName,
    /// The fence of the run, and the result.
    pub run: FinishedRun,
}

/// The leases of one worker.
#[async_trait]
pub trait Renewals: fmt::Debug + Send + Sync {
    /// Extends the leases of these runs. A lease that is not in the answer is lost.
    async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error>;

    /// Every run that this worker holds. The worker may not know of some of these runs.
    async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error>;

    /// Succeeds when the store answers.
    async fn ping(&self) -> Result<(), Error>;
}

/// The progress reports of runs.
#[async_trait]
pub trait ReportProgress: fmt::Debug + Send + Sync {
    /// Writes the progress of runs. A run that has lost its lease is left out.
    async fn report(&self, worker: WorkerId, reports: &[Report]) -> Result<(), Error>;
}

/// Results of runs.
#[async_trait]
pub trait Settles: fmt::Debug + Send + Sync {
    /// Ends runs. Answers have the order of `runs`. May be sent again when the answer was lost. The end of a run can move
    /// other jobs into the line.
    async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<SettledRuns, Error>;

    /// Leaves the results of runs whose rows are locked, for a reaper to write.
    async fn defer(&self, ends: &[Deferred]) -> Result<(), Error>;
}

/// Results that workers have left for a reaper.
#[async_trait]
pub trait DeferredSettles: Settles {
    /// Up to `limit` deferred results, the oldest first.
    async fn deferred(&self, limit: i64) -> Result<Vec<Deferred>, Error>;

    /// Deletes deferred results that have been written or refused.
    async fn deferred_done(&self, runs: &[Fence]) -> Result<(), Error>;
}
