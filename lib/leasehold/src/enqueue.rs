//! The options of a job that is about to be enqueued.

use crate::{
    Client, Enqueued, Error,
    job::{Id, Job},
};
use chrono::{DateTime, Utc};
use leasehold_client::{Sending, Store};
use leasehold_core::{JobId, Kind, NewJob, ParentFailure, QueueName, Retry, Unique};
use sqlx::PgConnection;
use std::{marker::PhantomData, time::Duration};

/// A job about to be enqueued by a client. Ends in [`Draft::send`], [`Draft::send_in`] or [`Draft::build`].
pub type Enqueue<'c, J> = Draft<J, &'c Client>;

/// A job that follows from the success of another one: see [`Done::then`](crate::Done::then).
///
/// ```
/// # use leasehold::{Done, FollowOn, Job, JobError, Run};
/// # use serde::{Deserialize, Serialize};
/// # use std::time::Duration;
/// # #[derive(Serialize, Deserialize)]
/// # struct Notify { order: u64 }
/// # impl Job for Notify {
/// #     const KIND: &'static str = "notify";
/// #     type Output = ();
/// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
/// # }
/// let done = Done::with("paid").then(FollowOn::of(Notify { order: 7 }).queue("mail").delay(Duration::from_secs(60)));
/// ```
pub type FollowOn<J> = Draft<J, ()>;

/// A job with its options that is not enqueued yet: an [`Enqueue`] or a [`FollowOn`].
#[must_use = "nothing is enqueued before `send`"]
pub struct Draft<J, To> {
    to: To,
    job: Result<NewJob, Error>,
    kind: PhantomData<fn() -> J>,
}

impl<J: Job> FollowOn<J> {
    /// A job of this type with the defaults of its type.
    pub fn of(job: J) -> Self {
        Self { to: (), job: new_job(&job), kind: PhantomData }
    }
}

impl<J: Job, To> Draft<J, To> {
    fn set(mut self, set: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            set(job);
        }
        self
    }

    /// The queue [default: [`Job::QUEUE`]].
    pub fn queue(mut self, name: &str) -> Self {
        match name.parse::<QueueName>() {
            Ok(queue) => self.set(|job| job.queue = queue),
            Err(source) if self.job.is_ok() => {
                self.job = Err(Error::Name { what: "queue", name: name.to_owned(), source });
                self
            }
            Err(_) => self,
        }
    }

    /// From −100 to 100, higher first [default: [`Job::PRIORITY`]].
    pub fn priority(self, priority: i16) -> Self {
        self.set(|job| job.priority = priority)
    }

    /// The earliest start, as a delay from now by the database's clock.
    pub fn delay(self, delay: Duration) -> Self {
        self.set(|job| job.delay = Some(delay))
    }

    /// The earliest start, by the database's clock. Has precedence over [`Draft::delay`].
    pub fn run_at(self, time: DateTime<Utc>) -> Self {
        self.set(|job| job.run_at = Some(time))
    }

    /// While a live job has this key, that job is the answer and no new job is made.
    pub fn unique_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.unique_key = Some(key))
    }

    /// The job starts only while this key has room: see [`Client::set_limit`]. May be called up to eight times, once for each
    /// key.
    pub fn limit_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.limit_keys.push(key))
    }

    /// The batch of the job: a group of jobs by name. The first job of a batch makes the batch. See [`Client::batch`].
    pub fn batch(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|job| job.batch = Some(name))
    }

    /// The share of the queue that the job counts against, such as a tenant. The jobs of the keys of a queue start in turns, by
    /// the weights of the keys: see [`Client::set_fair_weight`]. Jobs of one key keep their order.
    pub fn fair_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.fair_key = Some(key))
    }

    /// The trace that the job belongs to: `traceparent` of W3C Trace Context, such as
    /// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. The run has it as [`Run::traceparent`](crate::Run::traceparent).
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        let traceparent = traceparent.into();
        self.set(|job| job.traceparent = Some(traceparent))
    }

    /// The id of a webhook that gets a message about the end of this job, even if its filter of queues and kinds does not
    /// match. The webhook must exist. It gets one message for each end in a final state that it asks for.
    pub fn webhook(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.set(|job| job.webhook = Some(id))
    }

    /// The jobs that must succeed before this job starts. Replaces the jobs of an earlier call.
    pub fn depends_on(self, parents: impl IntoIterator<Item = impl Into<JobId>>) -> Self {
        let parents: Vec<JobId> = parents.into_iter().map(Into::into).collect();
        self.set(|job| job.depends_on = parents)
    }

    /// What happens to this job when one of its parents ends without success [default: [`ParentFailure::Cancel`]].
    pub fn on_parent_failure(self, then: ParentFailure) -> Self {
        self.set(|job| job.on_parent_failure = then)
    }

    /// How the job is unique: how long its key holds, what happens if the key is held, and which fields of the payload make the
    /// key [default: [`Job::unique`]].
    ///
    /// ```no_run
    /// # use leasehold::{Client, Job, JobError, Run, Unique};
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::Duration;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Index { doc: u64, text: String }
    /// # impl Job for Index {
    /// #     const KIND: &'static str = "index";
    /// #     type Output = ();
    /// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
    /// # }
    /// # async fn doc(client: &Client, job: Index) -> Result<(), leasehold::Error> {
    /// // Debounce: runs 10 s after the last change of a document, and five minutes after the first one at the latest.
    /// let debounce = Unique::while_queued().fields(["doc"]).replace().longest_wait(Duration::from_secs(300));
    /// client.enqueue(job).unique(debounce).delay(Duration::from_secs(10)).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unique(self, unique: Unique) -> Self {
        self.set(|job| job.unique = Some(unique))
    }

    /// How the job is tried again, where it differs from its kind and its worker [default: [`Job::RETRY`]].
    pub fn retry(self, retry: Retry) -> Self {
        self.set(|job| job.retry = Some(retry))
    }

    /// Cancels the job if it has not begun by this time.
    pub fn expires_at(self, time: DateTime<Utc>) -> Self {
        self.set(|job| job.expires_at = Some(time))
    }

    /// Cancels the job if it has not begun within this time from now, by the database's clock [default:
    /// [`Job::EXPIRES_IN`]]. [`Draft::expires_at`] has precedence.
    pub fn expires_in(self, time: Duration) -> Self {
        self.set(|job| job.expires_in = Some(time))
    }

    /// How many attempts the job may spend [default: [`Job::MAX_ATTEMPTS`]].
    pub fn max_attempts(self, attempts: i32) -> Self {
        self.set(|job| job.max_attempts = attempts)
    }

    /// How long one run may take [default: [`Job::TIMEOUT`]].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|job| job.timeout = Some(timeout))
    }

    /// The id of the job. If a job with this id exists, live or finished, that job is the answer and no new job is made. So a
    /// caller that does not know whether an earlier call succeeded can repeat the call.
    pub fn id(self, id: JobId) -> Self {
        self.set(|job| (job.id, job.id_may_exist) = (id, true))
    }

    /// The job itself, for [`Client::enqueue_many`].
    ///
    /// # Errors
    /// What is wrong with the job.
    pub fn build(self) -> Result<NewJob, Error> {
        let job = self.job?;
        job.validate()?;
        Ok(job)
    }
}

impl<'c, J: Job> Enqueue<'c, J> {
    pub(crate) fn new(client: &'c Client, job: &J) -> Self {
        Self { to: client, job: new_job(job), kind: PhantomData }
    }

    /// Enqueues the job. When this returns, the job is committed.
    ///
    /// # Errors
    /// As [`Client::enqueue_many`].
    pub async fn send(self) -> Result<Id<J>, Error> {
        let client = self.to;
        let job = self.build()?;
        let answers = client.enqueue_many(std::slice::from_ref(&job)).await?;
        Ok(Id::new(answers.first().map_or(job.id, |answer| answer.id)))
    }

    /// Enqueues the job in the caller's own transaction: the job exists if and only if the transaction commits.
    ///
    /// No hint is pushed to Redis, since the client does not learn of the commit. The next fill of the head finds the job,
    /// within a tick of a reaper (`reaper.tick_ms`).
    ///
    /// ```no_run
    /// # use leasehold::{Client, Job, JobError, Run};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Welcome { user: i64 }
    /// # impl Job for Welcome {
    /// #     const KIND: &'static str = "welcome";
    /// #     type Output = ();
    /// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
    /// # }
    /// # async fn doc(client: &Client, pool: &sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = pool.begin().await?;
    /// let user: i64 =
    ///     sqlx::query_scalar("INSERT INTO users DEFAULT VALUES RETURNING id").fetch_one(&mut *transaction).await?;
    /// client.enqueue(Welcome { user }).send_in(&mut transaction).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The job is invalid, or PostgreSQL fails; then the transaction is lost too.
    pub async fn send_in(self, transaction: &mut PgConnection) -> Result<Id<J>, Error> {
        let client = self.to;
        let job = self.build()?;
        let jobs = std::slice::from_ref(&job);
        let answers = match Sending::begin(jobs) {
            None => enqueued_in(client, transaction, jobs).await?,
            Some(sending) => sending.run(async |jobs| enqueued_in(client, transaction, jobs).await).await?,
        };
        Ok(Id::new(answers.first().map_or(job.id, |answer| answer.id)))
    }
}

/// A store with keys encrypts what its queue takes encrypted.
async fn enqueued_in(client: &Client, transaction: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
    match client.untyped().pair() {
        Some(pair) => Ok(pair.store.enqueue_within(transaction, jobs).await?),
        None => Ok(Store::enqueue_in(transaction, jobs).await?),
    }
}

pub(crate) fn new_job<J: Job>(job: &J) -> Result<NewJob, Error> {
    let name = |what, name: &str, source| Error::Name { what, name: name.to_owned(), source };
    let kind: Kind = J::KIND.parse().map_err(|source| name("kind", J::KIND, source))?;
    let queue: QueueName = J::QUEUE.parse().map_err(|source| name("queue", J::QUEUE, source))?;
    let payload = serde_json::value::to_raw_value(job).map_err(|source| Error::Encode { kind: J::KIND, source })?;
    let unique = job.unique();
    let mut job = NewJob::new(kind, payload);
    (job.queue, job.priority, job.max_attempts, job.timeout) = (queue, J::PRIORITY, J::MAX_ATTEMPTS, J::TIMEOUT);
    (job.retry, job.expires_in, job.unique) = (J::RETRY, J::EXPIRES_IN, unique);
    Ok(job)
}
