//! What time has made due: leases that ran out, scheduled jobs, cancels that a worker must hear of.

use crate::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, QueueName, State, WorkerId};
use std::{fmt, time::Duration};

/// One lease that ran out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Expired {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// What became of the job: queued, dead or cancelled.
    pub state: State,
}

/// What became of leases that ran out.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// The runs that were ended.
    pub expired: Vec<Expired>,
    /// Running jobs whose lease ran out or is about to, and whose rows another transaction has locked: their workers cannot
    /// renew the leases, and nothing became of the jobs.
    pub locked: Vec<JobId>,
}

/// A job that is in the line and that the head may be told of.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Waiting {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
}

/// A running job whose worker must be told to stop.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct CancelWanted {
    pub id: JobId,
    pub queue: QueueName,
    pub worker: WorkerId,
    pub epoch: Epoch,
}

/// Work that time brings, by the clock of the database.
#[async_trait]
pub trait DueJobs: fmt::Debug + Send + Sync {
    /// Ends up to `limit` runs whose lease ran out: all such runs, or those whose lease ended at or after `since`. Passes over
    /// `spared` jobs. Tells which rows are locked, also of leases that run out within `soon`.
    async fn expire_except(
        &self,
        limit: i64,
        since: Option<DateTime<Utc>>,
        spared: &[JobId],
        soon: Duration,
    ) -> Result<Expiry, Error>;

    /// Due scheduled jobs into the line: all of them, or those that became due at or after `since`.
    async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error>;

    /// Running jobs whose workers are to be told to stop.
    async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error>;
}
