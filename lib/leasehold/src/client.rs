//! The client of a Rust program: typed jobs over the untyped client of `lib/client`.

use crate::{
    Cancelled, Config, Enqueued, Error, Explanation, Finished, JobId, JobRecord, NewJob, Placed, QueueName, Revived,
    State,
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
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(&Config::load()?).await?;
/// let job = Resize { path: "a.png".into(), width: 160 };
/// let id = client.enqueue(job).queue("images").priority(5).send().await?;
/// let path = client.wait(id, Duration::from_secs(30)).await?;
/// # Ok(()) }
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
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::new("postgres://app@localhost/app", "redis://localhost");
    /// let client = Client::connect(&config).await?;
    /// # Ok(()) }
    /// ```
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
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).queue("images").send().await?;
    /// let job = client.job(id).await?.expect("the job exists");
    /// assert_eq!((job.queue.as_str(), job.kind.as_str()), ("images", "resize"));
    /// # Ok(()) });
    /// ```
    pub fn enqueue<J: Job>(&self, job: J) -> Enqueue<'_, J> {
        Enqueue::new(self, &job)
    }

    /// Enqueues jobs of any kind, in batches; the answers are in the order of the jobs.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = |n| client.enqueue(Resize { path: format!("{n}.png"), width: 160 }).build();
    /// let jobs = (0..1_000).map(job).collect::<Result<Vec<_>, _>>()?;
    /// let answers = client.enqueue_many(&jobs).await?;
    /// assert_eq!(answers[0].id, jobs[0].id);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if one job is invalid: then no job is sent. Otherwise the batches before the failed batch are
    /// accepted. When a connection is lost, the batch is sent again under the same ids, a few times, and then is
    /// [`Error::OutcomeUnknown`]. When open transactions of other sessions hold ids or unique keys for longer than
    /// `database.lock_timeout_ms`, the error is [`Error::Locked`], and all other jobs are accepted.
    pub async fn enqueue_many(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        self.inner.enqueue_many(jobs).await
    }

    /// Waits until a job has succeeded, and returns its result.
    ///
    /// Hears over Redis when the job has ended. Also polls PostgreSQL, at intervals that grow to half a second, because a
    /// message can be lost. All waits of one client share one subscription and their statements.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// let error = client.wait(id, Duration::ZERO).await.expect_err("no worker has run the job");
    /// assert!(matches!(error, Error::TimedOut(_)));
    ///
    /// queue.drain(worker()).await?;
    /// assert_eq!(client.wait(id, Duration::from_secs(30)).await?, "160px.a.png");
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 0 }).send().await?;
    /// queue.drain(worker()).await?;
    /// let finished = client.wait_finished(id.get(), Duration::from_secs(30)).await?;
    /// assert_eq!(finished.state, State::Dead);
    /// assert_eq!(finished.last_error.as_deref(), Some("the width is 0"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn wait_finished(&self, id: JobId, timeout: Duration) -> Result<Finished, Error> {
        self.inner.wait_finished(id, timeout).await
    }

    /// One job as it is now, live or finished; `None` if no job has this id.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// let job = client.job(id).await?.expect("the job exists");
    /// assert_eq!(job.state, State::Queued);
    /// assert!(client.job(JobId::new()).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn job(&self, id: impl Into<JobId>) -> Result<Option<JobRecord>, Error> {
        self.inner.job(id).await
    }

    /// Why a job is in its state, by the clock of the database; `None` if no job has this id.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(resize("a.png")).delay(Duration::from_secs(3600)).send().await?;
    /// let explanation = client.explain(id).await?.expect("the job exists");
    /// match &explanation.reasons[0] {
    ///     Reason::Scheduled { in_ms, .. } => assert_eq!(*in_ms, 3_600_000),
    ///     other => println!("{other}"),
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn explain(&self, id: impl Into<JobId>) -> Result<Option<Explanation>, Error> {
        self.inner.explain(id).await
    }

    /// Cancels jobs. Waiting jobs end immediately; the workers of running jobs are told to stop. An id that belongs to no job
    /// is not in the answer.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// let answers = client.cancel(&[id.get()]).await?;
    /// assert!(answers[0].changed);
    /// assert_eq!(answers[0].state, State::Cancelled);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        self.inner.cancel(ids).await
    }

    /// Puts finished jobs back into the line with all their attempts. Also puts scheduled jobs into the line immediately. Jobs
    /// in other states, and ids that belong to no job, are not in the answer.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// client.cancel(&[id.get()]).await?;
    /// assert_eq!(client.revive(&[id.get()]).await?[0].id, id.get());
    /// assert_eq!(queue.drain(worker()).await?.succeeded, 1);
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert!(client.set_priority(&[id.get()], 10).await?[0].changed);
    /// assert_eq!(client.job(id).await?.map(|job| job.priority), Some(10));
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// let moved = client.move_to(&[id.get()], &"slow".parse()?).await?;
    /// assert_eq!((moved[0].was_in.as_str(), moved[0].queue.as_str()), ("default", "slow"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn move_to(&self, ids: &[JobId], queue: &QueueName) -> Result<Vec<Placed>, Error> {
        self.inner.move_to(ids, queue).await
    }
}

impl From<leasehold_client::Client> for Client {
    fn from(client: leasehold_client::Client) -> Self {
        Self { inner: Arc::new(client) }
    }
}
