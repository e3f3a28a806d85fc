//! Graphs of jobs: many jobs in one transaction, the parents of a job, and the jobs around a job.

use crate::{encrypt::Encrypt, error::Error, jobs::Enqueued};
use async_trait::async_trait;
use leasehold_core::{Graph, JobId, NewJob, Parent};
use std::fmt;

/// Calls of clients about graphs.
#[async_trait]
pub trait Graphs: fmt::Debug + Send + Sync {
    /// Enqueues jobs that depend on each other, all of them or none. Answers have the order of `jobs`.
    async fn enqueue_graph(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error>;

    /// The jobs that this job depends on, the jobs that depend on it, and so on, up to `limit` jobs.
    async fn graph(&self, id: JobId, limit: i64) -> Result<Graph, Error>;
}

/// The calls of a run to the store: for its parents, and for the encryption of its output.
#[async_trait]
pub trait ReadParents: Encrypt {
    /// The parents of a job, in the order of its `depends_on`. `results_max`: how many bytes of results are read; results
    /// beyond are left out.
    async fn parents(&self, id: JobId, results_max: usize) -> Result<Vec<Parent>, Error>;
}
