//! Graphs of jobs.

use crate::{
    Client, Error, StoreError,
    client::{is_locked, may_have_been_written},
    traces::Sending,
};
use leasehold_core::{Graph, JobId, NamedJob, NewJob, Parent, resolve_graph};
use leasehold_ports::Enqueued;
use leasehold_store::{Once, OnceKey};
use std::time::Duration;

/// How many times a graph is sent before its outcome counts as unknown.
const ATTEMPTS: u32 = 6;
/// The delay before the second attempt; the delay doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);

impl Client {
    /// Like [`Client::enqueue_graph`], for a request with a key: for a day, a request that is sent again gets the answer of the
    /// first request.
    ///
    /// # Errors
    /// See [`Client::enqueue_graph`].
    pub async fn enqueue_graph_once(&self, graph: Vec<NamedJob>, key: &OnceKey) -> Result<Once, Error> {
        let jobs = resolve_graph(graph)?;
        self.enqueue_once(&jobs, Some(key)).await
    }

    /// Enqueues jobs that depend on each other in one transaction: all of them or none. Answers have the order of the graph.
    ///
    /// # Errors
    /// [`Error::Graph`] if the graph has a cycle or a wrong name, [`Error::Invalid`] if a job is invalid: nothing is sent.
    /// [`Error::Locked`] if open transactions of other sessions hold a parent, an id or a unique key for longer than
    /// `database.lock_timeout_ms`. When a connection is lost, the graph is sent again under the same ids, a few times, and then the error is
    /// [`Error::OutcomeUnknown`]. Otherwise nothing was enqueued.
    pub async fn enqueue_graph(&self, graph: Vec<NamedJob>) -> Result<Vec<Enqueued>, Error> {
        let jobs = resolve_graph(graph)?;
        jobs.iter().try_for_each(NewJob::validate)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        match Sending::begin(&jobs) {
            None => self.enqueue_nodes(&jobs).await,
            Some(sending) => Box::pin(sending.run(|jobs| self.enqueue_nodes(jobs))).await,
        }
    }

    async fn enqueue_nodes(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let mut jobs = jobs.to_vec();
        let mut delay = FIRST_DELAY;
        let mut unsure = false;
        for attempt in 1.. {
            let failed = match self.store.enqueue_graph(&jobs).await {
                Ok(answers) => {
                    self.tell_of(jobs.iter().zip(&answers), attempt > 1).await;
                    return Ok(answers);
                }
                Err(error) => error,
            };
            unsure |= may_have_been_written(&failed);
            if !failed.is_transient() || is_locked(&failed) || attempt >= ATTEMPTS {
                return Err(if unsure {
                    let ids = jobs.iter().map(|job| job.id).collect();
                    Error::OutcomeUnknown { ids, source: StoreError::from(failed) }
                } else {
                    failed.into()
                });
            }
            jobs.iter_mut().for_each(|job| job.id_may_exist = true);
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        Ok(Vec::new())
    }

    /// The jobs that a job depends on, the jobs that depend on it, and so on, up to `limit` jobs.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn graph(&self, id: JobId, limit: u32) -> Result<Graph, Error> {
        let graph = self.store.graph(id, limit.into()).await?;
        let is_known = graph.jobs.iter().any(|job| job.id == id && job.state.is_some()) || !graph.edges.is_empty();
        if is_known { Ok(graph) } else { Err(Error::NoSuchJob(id)) }
    }

    /// The parents of a job, in the order of its `depends_on`, without their results.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn parents(&self, id: JobId) -> Result<Vec<Parent>, Error> {
        Ok(self.store.parents(id, 0).await?)
    }
}
