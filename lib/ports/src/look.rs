//! Looks up the jobs of hints.

use crate::{claims::Kinds, error::Error};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Claimability, JobId, Kind, State};
use std::fmt;

/// The status of a live job that a hint refers to.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct JobStatus {
    pub id: JobId,
    pub state: State,
    pub kind: Kind,
    /// The position in the line, if the job is queued.
    pub line_at: DateTime<Utc>,
    /// Whether a worker of the given kinds may claim the job. Never `Finished`: the job is live.
    pub claimability: Claimability,
    /// The rest of a running job's lease; negative when the lease ran out and `expire` has not ended the run yet.
    pub lease_ms_left: Option<i64>,
}

/// Looks up jobs. Changes nothing.
#[async_trait]
pub trait LookUp: fmt::Debug + Send + Sync {
    /// The live jobs among these, and whether a worker of these kinds may claim each. A job that is not in the answer has
    /// finished or never existed.
    async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error>;
}
