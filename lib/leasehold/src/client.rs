//! The client of a Rust program: typed jobs over the untyped client of `lib/client`.

use crate::{
    Bulk, BulkAction, BulkCount, BulkCursor, BulkFilter, BulkStep, Cancelled, Config, Enqueued, Error, Explanation,
    Finished, Graph, JobId, JobRecord, Kind, NamedJob, NewJob, Parent, Placed, QueueName, Revived, State,
    done::JobOutput,
    enqueue::Enqueue,
    job::{Id, Job},
};
use leasehold_client::Store;
use std::{sync::Arc, time::Duration};

/// Enqueues jobs, waits for them, cancels and revives them. Cheap to clone.
///
/// Every call needs only PostgreSQL. Redis gets hints while Redis answers, within a quarter of a second.
///
/// ```no_run
/// # use leasehold::{Client, Config, Job, JobError, Run};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Resize { path: String, width: u32 }
/// # impl Job for Resize {
/// #     const KIND: &'static str = "resize";
/// #     type Output = String;
/// #     async fn run(self, _: &Run) -> Result<String, JobError> { Ok(self.path) }
/// # }
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(&Config::load()?).await?;
/// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).queue("images").priority(5).send().await?;
/// let path = client.wait(id, std::time::Duration::from_secs(30)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<leasehold_client::Client>,
}

impl Client {
    /// Connects to both stores and checks the schema.
    ///
    /// Without `redis.url`, or while Redis is unavailable or unfit, jobs are accepted, and the next tick of a reaper finds
    /// them.
    ///
    /// # Errors
    /// PostgreSQL is unavailable or has another schema; a URL is malformed.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        Ok(leasehold_client::Client::connect(config).await?.into())
    }

    /// PostgreSQL, for programs of Leasehold itself.
    ///
    /// # Panics
    /// The client is of a queue in memory.
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.pair().expect("a queue in memory has no PostgreSQL").store
    }

    /// The client without job types.
    pub(crate) fn untyped(&self) -> &leasehold_client::Client {
        &self.inner
    }

    /// Begins to enqueue a job: see [`Draft`](crate::Draft) for the options.
    pub fn enqueue<J: Job>(&self, job: J) -> Enqueue<'_, J> {
        Enqueue::new(self, &job)
    }

    /// Enqueues jobs of any kind, in batches; the answers are in the order of the jobs.
    ///
    /// ```no_run
    /// # use leasehold::{Client, Kind, NewJob};
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let kind: Kind = "resize".parse()?;
    /// let payload = |n| serde_json::value::to_raw_value(&serde_json::json!({ "path": format!("{n}.png"), "width": 160 }));
    /// let jobs = (0..10_000).map(|n| Ok(NewJob::new(kind.clone(), payload(n)?))).collect::<Result<Vec<_>, serde_json::Error>>()?;
    /// let answers = client.enqueue_many(&jobs).await?;
    /// assert_eq!(answers[0].id, jobs[0].id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if one job is invalid: then no job is sent. Otherwise the batches before the one that failed are
    /// accepted. When a connection is lost, the batch is sent again under the same ids, a few times, and then is
    /// [`Error::OutcomeUnknown`]. When open transactions of other sessions hold ids or unique keys for longer than
    /// `database.lock_timeout_ms`, the error is [`Error::Locked`], and all other jobs are accepted.
    pub async fn enqueue_many(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        self.inner.enqueue_many(jobs).await
    }

    /// Enqueues jobs that depend on each other in one transaction: all of them or none. Answers have the order of the graph.
    ///
    /// ```no_run
    /// # use leasehold::{Client, NamedJob, NewJob};
    /// # async fn doc(client: &Client, load: NewJob, sum: NewJob) -> Result<(), leasehold::Error> {
    /// let graph = vec![NamedJob::new("load", load), NamedJob::new("sum", sum).after(["load"])];
    /// let answers = client.enqueue_graph(graph).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Graph`] if the graph has a cycle or a wrong name, [`Error::Invalid`] if a job is invalid, or PostgreSQL
    /// fails. Nothing was enqueued.
    pub async fn enqueue_graph(&self, graph: Vec<NamedJob>) -> Result<Vec<Enqueued>, Error> {
        self.inner.enqueue_graph(graph).await
    }

    /// The jobs that a job depends on, the jobs that depend on it, and so on, up to `limit` jobs.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn graph(&self, id: impl Into<JobId>, limit: u32) -> Result<Graph, Error> {
        self.inner.graph(id.into(), limit).await
    }

    /// The parents of a job, in the order of its `depends_on`, without their results.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn parents(&self, id: impl Into<JobId>) -> Result<Vec<Parent>, Error> {
        self.inner.parents(id.into()).await
    }

    /// Waits until a job has succeeded, and returns its result.
    ///
    /// Hears over Redis when the job has ended. Also polls PostgreSQL, at intervals that grow to half a second, because a
    /// message can be lost. All waits of one client share one subscription and their statements.
    ///
    /// # Errors
    /// [`Error::Dead`], [`Error::Cancelled`], [`Error::TimedOut`] (the job continues), [`Error::NoSuchJob`],
    /// [`Error::Decode`], or PostgreSQL fails.
    pub async fn wait<J: Job>(&self, id: Id<J>, timeout: Duration) -> Result<<J::Output as JobOutput>::Result, Error> {
        let id = id.get();
        let finished = self.wait_finished(id, timeout).await?;
        match finished.state {
            State::Succeeded => {
                let result = finished.result.as_ref().map_or("null", |result| result.get());
                serde_json::from_str(result).map_err(|source| Error::Decode { id, source })
            }
            State::Cancelled => Err(Error::Cancelled(id)),
            _ => Err(Error::Dead { id, error: finished.last_error.unwrap_or_default() }),
        }
    }

    /// Waits until a job of any kind has reached its end: succeeded, dead or cancelled.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn wait_finished(&self, id: JobId, timeout: Duration) -> Result<Finished, Error> {
        self.inner.wait_finished(id, timeout).await
    }

    /// One job as it is now, live or finished; `None` if no job has this id.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn job(&self, id: impl Into<JobId>) -> Result<Option<JobRecord>, Error> {
        self.inner.job(id).await
    }

    /// Why a job is in its state, by the clock of the database; `None` if no job has this id.
    ///
    /// ```no_run
    /// # use leasehold::{Client, JobId, Reason};
    /// # async fn doc(client: &Client, id: JobId) -> Result<(), leasehold::Error> {
    /// for reason in client.explain(id).await?.into_iter().flat_map(|explanation| explanation.reasons) {
    ///     match reason {
    ///         Reason::Position { before, .. } => println!("{before} jobs stand before it"),
    ///         other => println!("{other}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn explain(&self, id: impl Into<JobId>) -> Result<Option<Explanation>, Error> {
        self.inner.explain(id).await
    }

    /// Cancels jobs. Waiting jobs end at once; the workers of running jobs are told to stop. An id that belongs to no
    /// job is not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        self.inner.cancel(ids).await
    }

    /// Puts finished jobs back into the line with all their attempts, and scheduled jobs at once. Jobs in other states,
    /// and ids that belong to no job, are not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails, or a live job has taken the unique key of one of the jobs.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        self.inner.revive(ids).await
    }

    /// Changes the priority of jobs that wait: each job goes to the position in the line that belongs to the new priority. The
    /// answer says of each job whether it was changed; jobs that run or have finished stay as they are. An id that belongs to
    /// no job is not in the answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the priority is not from −100 to 100: nothing was changed. Or PostgreSQL fails.
    pub async fn set_priority(&self, ids: &[JobId], priority: i16) -> Result<Vec<Placed>, Error> {
        self.inner.set_priority(ids, priority).await
    }

    /// Moves jobs that wait to another queue. Each job keeps its priority and the time for which it has waited. The answer
    /// says of each job whether it was moved; jobs that run or have finished stay as they are. An id that belongs to no job
    /// is not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn move_to(&self, ids: &[JobId], queue: &QueueName) -> Result<Vec<Placed>, Error> {
        self.inner.move_to(ids, queue).await
    }

    /// Begins a change of all jobs that a filter chooses and that have been enqueued up to now. [`Client::bulk_step`] does the
    /// work, one short transaction after another.
    ///
    /// ```no_run
    /// # use leasehold::{BulkAction, BulkFilter, Client};
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let filter = BulkFilter::default().kind("resize".parse()?).error_like("timeout");
    /// let mut bulk = client.bulk(BulkAction::Retry, filter).await?;
    /// let mut revived = 0;
    /// while let Some(step) = client.bulk_step(&mut bulk).await? {
    ///     revived += step.changed;
    /// }
    /// println!("{revived} jobs are back in the line; {} were locked", bulk.locked().len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Bulk`] if the filter cannot be used, or PostgreSQL fails.
    pub async fn bulk(&self, action: BulkAction, filter: BulkFilter) -> Result<Bulk, Error> {
        self.inner.bulk(action, filter).await
    }

    /// Continues a bulk change from the cursor of an earlier one with the same action and filter.
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn resume_bulk(&self, action: BulkAction, filter: BulkFilter, cursor: BulkCursor) -> Result<Bulk, Error> {
        self.inner.resume_bulk(action, filter, cursor).await
    }

    /// How many jobs a bulk change would be made to, by queue, kind and state. Changes nothing.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn bulk_counts(&self, bulk: &Bulk) -> Result<Vec<BulkCount>, Error> {
        self.inner.bulk_counts(bulk).await
    }

    /// Does the next part of a bulk change. `None`: the change is complete, except for [`Bulk::locked`].
    ///
    /// # Errors
    /// PostgreSQL fails. The steps before are done, and the call can be made again.
    pub async fn bulk_step(&self, bulk: &mut Bulk) -> Result<Option<BulkStep>, Error> {
        self.inner.bulk_step(bulk).await
    }

    /// Pauses a queue: no job of the queue starts until the queue is resumed; running jobs continue. Returns whether
    /// the queue was not paused before.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.inner.pause(queue).await
    }

    /// Sets what one point of priority is worth in this queue: the waiting time that it replaces. Moves the waiting jobs and
    /// returns how many it moved.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        self.inner.set_priority_step(queue, step).await
    }

    /// Resumes a queue. Returns whether the queue was paused. Kinds that are paused in this queue stay paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.inner.resume(queue).await
    }

    /// Pauses a kind in a queue: no job of this kind starts in this queue until the kind is resumed; running jobs, and jobs of other
    /// kinds, continue. Returns whether the kind was not paused before. Neither the queue nor the kind needs to have a job yet.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.inner.pause_kind(queue, kind).await
    }

    /// Resumes a kind in a queue. Returns whether the kind was paused. If the queue is paused too, it stays paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.inner.resume_kind(queue, kind).await
    }

    /// The paused kinds of one queue or of all queues, each with its queue.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn paused_kinds(&self, queue: Option<&QueueName>) -> Result<Vec<(QueueName, Kind)>, Error> {
        self.inner.paused_kinds(queue).await
    }

    /// Cancels one batch of the waiting jobs of a queue, and returns their ids: none when no job waits.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn purge(&self, queue: &QueueName) -> Result<Vec<JobId>, Error> {
        self.inner.purge(queue).await
    }
}

impl From<leasehold_client::Client> for Client {
    fn from(client: leasehold_client::Client) -> Self {
        Self { inner: Arc::new(client) }
    }
}
