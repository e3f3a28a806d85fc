//! The scheduler: computations that depend on each other, on clusters that each run a few at a time. All of its state is in the
//! queue. So any number of schedulers may run, and a call needs no lock.

use leasehold::{Client, Enqueued, Error, Job, JobError, JobId, KeyLimit, NamedJob, QueueName, Run};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a cluster computes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Computation {
    pub(crate) name: String,
    pub(crate) takes_ms: u64,
}

impl Job for Computation {
    const KIND: &'static str = "clusters/computation";
    type Output = String;

    async fn run(self, run: &Run) -> Result<String, JobError> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(self.takes_ms)) => Ok(self.name),
            _ = run.cancelled() => Err(JobError::failed("stopped")),
        }
    }
}

/// A computation that is about to be submitted.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) name: &'a str,
    pub(crate) takes_ms: u64,
    /// From -100 to 100.
    pub(crate) priority: i16,
    /// The names of the computations of the same submission that must succeed first.
    pub(crate) after: &'a [&'a str],
}

/// A scheduler. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scheduler {
    client: Client,
}

impl Scheduler {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sets how many computations a cluster runs at the same time, for any number of workers. A lower number takes effect as runs
    /// end.
    pub(crate) async fn set_cluster(&self, cluster: &str, running: i32) -> Result<(), Error> {
        self.client.set_limit(&limit_key(cluster), &KeyLimit::default().running(running)).await
    }

    /// Submits one computation, which begins after these jobs have succeeded.
    pub(crate) async fn submit(&self, order: &Order<'_>, after: &[JobId]) -> Result<JobId, Error> {
        let job = self.client.enqueue(order.computation()).queue(order.cluster).priority(order.priority);
        let id = job.limit_key(limit_key(order.cluster)).depends_on(after.iter().copied()).send().await?;
        Ok(id.into())
    }

    /// Submits computations that name each other: all of them or, if there is a cycle, none.
    pub(crate) async fn submit_all(&self, orders: &[Order<'_>]) -> Result<Vec<JobId>, Error> {
        let named = |order: &Order<'_>| -> Result<NamedJob, Error> {
            let job = self.client.enqueue(order.computation()).queue(order.cluster).priority(order.priority);
            let job = job.limit_key(limit_key(order.cluster)).build()?;
            Ok(NamedJob::new(order.name, job).after(order.after.iter().copied()))
        };
        let graph = orders.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        Ok(self.client.enqueue_graph(graph).await?.iter().map(|Enqueued { id, .. }| *id).collect())
    }

    /// Gives a computation that waits another priority. Whether that changed anything.
    pub(crate) async fn set_priority(&self, id: JobId, priority: i16) -> Result<bool, Error> {
        Ok(self.client.set_priority(&[id], priority).await?.iter().any(|placed| placed.changed))
    }

    /// No computation of the cluster begins until it is resumed.
    pub(crate) async fn pause(&self, cluster: &QueueName) -> Result<(), Error> {
        self.client.pause(cluster).await.map(drop)
    }

    /// Computations of the cluster begin again.
    pub(crate) async fn resume(&self, cluster: &QueueName) -> Result<(), Error> {
        self.client.resume(cluster).await.map(drop)
    }
}

impl Order<'_> {
    fn computation(&self) -> Computation {
        Computation { name: self.name.to_owned(), takes_ms: self.takes_ms }
    }
}

fn limit_key(cluster: &str) -> String {
    format!("cluster:{cluster}")
}
