//! Looking up what became of the jobs that hints are about.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, State};
use std::fmt;

/// The state of a live job that a hint is about.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    pub kind: Kind,
    /// Whether its queue is paused.
    pub paused: bool,
    /// How many leases it has lost.
    pub crashes: i16,
    /// How many leases it may lose.
    pub max_crashes: i16,
    /// Of a running job; below zero when the lease ran out and nobody has expired it yet.
    pub lease_ms_left: Option<i64>,
}

/// A look at jobs, which changes nothing.
#[async_trait]
pub trait LookUp: fmt::Debug + Send + Sync {
    /// The live jobs among these. A job that is not in the answer is finished or never was.
    async fn look(&self, ids: &[JobId]) -> Result<Vec<JobStatus>, Error>;
}
