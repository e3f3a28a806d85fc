//! A job that is about to be enqueued, by a client or as what follows from another job. Its words are in `words`.

use crate::{
    Client, Enqueued, Error,
    job::{Id, Job},
};
use leasehold_client::{Sending, Store};
use leasehold_core::{Kind, NewJob, QueueName};
use sqlx::PgConnection;
use std::marker::PhantomData;

/// A job about to be enqueued by a client. Ends in [`Draft::send`], [`Draft::send_in`] or [`Draft::build`].
pub type Enqueue<'c, J> = Draft<J, &'c Client>;

/// A job that follows from the success of another one: see [`Done::then`](crate::Done::then).
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// let small = Resize { path: "a.png".into(), width: 160 };
/// let done = Done::with("stored").then(FollowOn::of(small).queue("images").delay(Duration::from_secs(60)));
/// ```
pub type FollowOn<J> = Draft<J, ()>;

/// A job with its options that is not enqueued yet: an [`Enqueue`] or a [`FollowOn`].
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # in_memory(async |queue, client| {
/// let draft = client.enqueue(Resize { path: "a.png".into(), width: 160 });
/// let id = draft.queue("images").priority(5).delay(Duration::from_secs(60)).send().await?;
/// assert_eq!(client.job(id).await?.map(|job| job.state), Some(State::Scheduled));
/// # Ok(()) });
/// ```
#[must_use = "nothing is enqueued before `send`"]
pub struct Draft<J, To> {
    pub(crate) to: To,
    pub(crate) job: Result<NewJob, Error>,
    kind: PhantomData<fn() -> J>,
}

impl<J: Job> FollowOn<J> {
    /// A job of this type with the defaults of its type.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let job = FollowOn::of(Resize { path: "a.png".into(), width: 160 }).priority(5).build()?;
    /// assert_eq!((job.queue.as_str(), job.priority), ("default", 5));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of(job: J) -> Self {
        Self { to: (), job: new_job(&job), kind: PhantomData }
    }
}

impl<'c, J: Job> Enqueue<'c, J> {
    pub(crate) fn new(client: &'c Client, job: &J) -> Self {
        Self { to: client, job: new_job(job), kind: PhantomData }
    }

    /// Enqueues the job. When this returns, the job is committed.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id: Id<Resize> = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert_eq!(queue.enqueued::<Resize>()[0].path, "a.png");
    /// # Ok(()) });
    /// ```
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
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client, pool: &sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("INSERT INTO images (path) VALUES ('a.png')").execute(&mut *transaction).await?;
    /// let job = Resize { path: "a.png".into(), width: 160 };
    /// client.enqueue(job).send_in(&mut transaction).await?;
    /// transaction.commit().await?;
    /// # Ok(()) }
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
