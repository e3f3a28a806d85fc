//! The words of a job that is about to be enqueued: one function for each.

use crate::{Draft, Error, job::Job};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, NewJob, ParentFailure, QueueName, Retry, Unique};
use std::time::Duration;

impl<J: Job, To> Draft<J, To> {
    fn set(mut self, set: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            set(job);
        }
        self
    }

    /// The queue [default: [`Job::QUEUE`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).queue("images").build()?;
    /// assert_eq!(job.queue.as_str(), "images");
    /// # Ok(()) });
    /// ```
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
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).priority(5).build()?;
    /// assert_eq!(job.priority, 5);
    /// # Ok(()) });
    /// ```
    pub fn priority(self, priority: i16) -> Self {
        self.set(|job| job.priority = priority)
    }

    /// The earliest start, as a delay from now by the database's clock.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(resize("a.png")).delay(Duration::from_secs(60)).send().await?;
    /// assert_eq!(queue.drain(worker()).await?.claimed, 0);
    /// queue.advance(Duration::from_secs(60));
    /// assert_eq!(queue.drain(worker()).await?.claimed, 1);
    /// # Ok(()) });
    /// ```
    pub fn delay(self, delay: Duration) -> Self {
        self.set(|job| job.delay = Some(delay))
    }

    /// The earliest start, by the database's clock. Has precedence over [`Draft::delay`].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let tomorrow = queue.now() + Duration::from_secs(24 * 3600);
    /// let id = client.enqueue(resize("a.png")).run_at(tomorrow).send().await?;
    /// assert_eq!(client.job(id).await?.map(|job| job.run_at), Some(tomorrow));
    /// # Ok(()) });
    /// ```
    pub fn run_at(self, time: DateTime<Utc>) -> Self {
        self.set(|job| job.run_at = Some(time))
    }

    /// While a live job has this key, that job is the answer and no new job is made.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let first = client.enqueue(resize("a.png")).unique_key("a.png").send().await?;
    /// let second = client.enqueue(resize("a.png")).unique_key("a.png").send().await?;
    /// assert_eq!(first, second);
    /// # Ok(()) });
    /// ```
    pub fn unique_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.unique_key = Some(key))
    }

    /// The job starts only while this key has room: see [`Client::set_limit`](crate::Client::set_limit). May be called up to eight
    /// times, once for each key.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).limit_key("cluster-a").limit_key("tenant-7").build()?;
    /// assert_eq!(job.limit_keys, ["cluster-a", "tenant-7"]);
    /// # Ok(()) });
    /// ```
    pub fn limit_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.limit_keys.push(key))
    }

    /// The batch of the job: a group of jobs by name. The first job of a batch makes the batch. See
    /// [`Client::batch`](crate::Client::batch).
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).batch("import-7").build()?;
    /// assert_eq!(job.batch.as_deref(), Some("import-7"));
    /// # Ok(()) });
    /// ```
    pub fn batch(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|job| job.batch = Some(name))
    }

    /// The share of the queue that the job counts against, such as a tenant. The keys of a queue get their turns one after the
    /// other, by their weights: see [`Client::set_fair_weight`](crate::Client::set_fair_weight). Jobs of one key keep their order.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).fair_key("tenant-7").build()?;
    /// assert_eq!(job.fair_key.as_deref(), Some("tenant-7"));
    /// # Ok(()) });
    /// ```
    pub fn fair_key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set(|job| job.fair_key = Some(key))
    }

    /// The trace that the job belongs to: `traceparent` of W3C Trace Context, such as
    /// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. The run has it as [`Run::traceparent`](crate::Run::traceparent).
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let id = client.enqueue(resize("a.png")).traceparent(trace).send().await?;
    /// # Ok(()) });
    /// ```
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        let traceparent = traceparent.into();
        self.set(|job| job.traceparent = Some(traceparent))
    }

    /// The id of a webhook that gets a message about the end of this job, even if its filter of queues and kinds does not
    /// match. The webhook must exist. It gets one message for each end in a final state that it asks for.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).webhook("billing").build()?;
    /// assert_eq!(job.webhook.as_deref(), Some("billing"));
    /// # Ok(()) });
    /// ```
    pub fn webhook(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.set(|job| job.webhook = Some(id))
    }

    /// The jobs that must succeed before this job starts. Replaces the jobs of an earlier call.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let small = client.enqueue(resize("a.png")).send().await?;
    /// let tiny = client.enqueue(resize("160px.a.png")).depends_on([small]).send().await?;
    /// assert_eq!(client.job(tiny).await?.map(|job| job.state), Some(State::Blocked));
    /// assert_eq!(queue.drain(worker()).await?.succeeded, 2);
    /// # Ok(()) });
    /// ```
    pub fn depends_on(self, parents: impl IntoIterator<Item = impl Into<JobId>>) -> Self {
        let parents: Vec<JobId> = parents.into_iter().map(Into::into).collect();
        self.set(|job| job.depends_on = parents)
    }

    /// What happens to this job when one of its parents ends without success [default: [`ParentFailure::Cancel`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let small = client.enqueue(resize("a.png")).send().await?;
    /// let report = client.enqueue(resize("report.png")).depends_on([small]).on_parent_failure(ParentFailure::Run);
    /// let report = report.send().await?;
    /// client.cancel(&[small.get()]).await?;
    /// assert_eq!(client.job(report).await?.map(|job| job.state), Some(State::Queued));
    /// # Ok(()) });
    /// ```
    pub fn on_parent_failure(self, then: ParentFailure) -> Self {
        self.set(|job| job.on_parent_failure = then)
    }

    /// How the job is unique: how long its key holds, what happens if the key is held, and which fields of the payload make the
    /// key [default: [`Job::unique`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// // Debounce: runs 10 s after the last change, and five minutes after the first one at the latest.
    /// let debounce = Unique::while_queued().fields(["path"]).replace().longest_wait(Duration::from_secs(300));
    /// for width in [100, 160] {
    ///     let job = Resize { path: "a.png".into(), width };
    ///     client.enqueue(job).unique(debounce.clone()).delay(Duration::from_secs(10)).send().await?;
    /// }
    /// assert_eq!(queue.enqueued::<Resize>(), [Resize { path: "a.png".into(), width: 160 }]);
    /// # Ok(()) });
    /// ```
    pub fn unique(self, unique: Unique) -> Self {
        self.set(|job| job.unique = Some(unique))
    }

    /// How the job is tried again, where it differs from its kind and its worker [default: [`Job::RETRY`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// // After 10 s, 20 s, 30 s … and not for longer than a day.
    /// let retry = Retry::linear(Duration::from_secs(10)).for_time(Duration::from_secs(24 * 3600));
    /// let id = client.enqueue(resize("a.png")).retry(retry).send().await?;
    /// # Ok(()) });
    /// ```
    pub fn retry(self, retry: Retry) -> Self {
        self.set(|job| job.retry = Some(retry))
    }

    /// Cancels the job if it has not begun by this time.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let end = queue.now() + Duration::from_secs(60);
    /// let id = client.enqueue(resize("a.png")).expires_at(end).send().await?;
    /// queue.advance(Duration::from_secs(61));
    /// assert_eq!(client.job(id).await?.map(|job| job.state), Some(State::Cancelled));
    /// # Ok(()) });
    /// ```
    pub fn expires_at(self, time: DateTime<Utc>) -> Self {
        self.set(|job| job.expires_at = Some(time))
    }

    /// Cancels the job if it has not begun within this time from now, by the database's clock [default:
    /// [`Job::EXPIRES_IN`]]. [`Draft::expires_at`] has precedence.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(resize("a.png")).expires_in(Duration::from_secs(60)).send().await?;
    /// queue.advance(Duration::from_secs(61));
    /// assert_eq!(client.job(id).await?.map(|job| job.state), Some(State::Cancelled));
    /// # Ok(()) });
    /// ```
    pub fn expires_in(self, time: Duration) -> Self {
        self.set(|job| job.expires_in = Some(time))
    }

    /// How many attempts the job may spend [default: [`Job::MAX_ATTEMPTS`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).max_attempts(3).build()?;
    /// assert_eq!(job.max_attempts, 3);
    /// # Ok(()) });
    /// ```
    pub fn max_attempts(self, attempts: i32) -> Self {
        self.set(|job| job.max_attempts = attempts)
    }

    /// How long one run may take [default: [`Job::TIMEOUT`]].
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).timeout(Duration::from_secs(30)).build()?;
    /// assert_eq!(job.timeout, Some(Duration::from_secs(30)));
    /// # Ok(()) });
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|job| job.timeout = Some(timeout))
    }

    /// The id of the job. If a job with this id exists, live or finished, that job is the answer and no new job is made. So a
    /// caller that does not know whether an earlier call succeeded can repeat the call.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = JobId::new();
    /// client.enqueue(resize("a.png")).id(id).send().await?;
    /// // The answer was lost, so the call is made again.
    /// assert_eq!(client.enqueue(resize("a.png")).id(id).send().await?.get(), id);
    /// assert_eq!(queue.jobs().len(), 1);
    /// # Ok(()) });
    /// ```
    pub fn id(self, id: JobId) -> Self {
        self.set(|job| (job.id, job.id_may_exist) = (id, true))
    }

    /// The job itself, for [`Client::enqueue_many`](crate::Client::enqueue_many).
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let job = client.enqueue(resize("a.png")).priority(101).build();
    /// let error = job.expect_err("the priority is too high");
    /// assert_eq!(error.to_string(), "priority is 101; it must be from -100 to 100");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// What is wrong with the job.
    pub fn build(self) -> Result<NewJob, Error> {
        let job = self.job?;
        job.validate()?;
        Ok(job)
    }
}
