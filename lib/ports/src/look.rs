//! Looks up the jobs of hints.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, State};
use std::fmt;

/// The status of a live job that a hint refers to.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    pub kind: Kind,
    /// Whether the job's queue is paused.
    pub paused: bool,
    /// How many leases the job has lost.
    pub crashes: i16,
    /// How many leases the job may lose.
    pub max_crashes: i16,
    /// The rest of a running job's lease; negative when the lease ran out and `expire` has not ended the run yet.
    pub lease_ms_left: Option<i64>,
}

/// Looks up jobs. Changes nothing.
#[async_trait]
pub trait LookUp: fmt::Debug + Send + Sync {
    /// The live jobs among `ids`. A job that is not in the answer is finished or never existed.
    async fn look(&self, ids: &[JobId]) -> Result<Vec<JobStatus>, Error>;
}
