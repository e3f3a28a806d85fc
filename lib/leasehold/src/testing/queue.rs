//! The queue that a unit test holds.

use super::drain;
use crate::{Client, Error, Id, Job, JobId, JobRecord, State, Tally, WorkerBuilder};
use chrono::{DateTime, Utc};
use leasehold_memory::{Change, Clock, MemoryHead, MemoryStore, Row};
use std::{fmt, sync::Arc, time::Duration};

/// The maximum number of hints in Redis. Any number would do: [`Queue::drain`] reads the line.
const HEAD_MAX: u32 = 100;

/// A queue in memory. Cheap to clone; all clones are the same queue.
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # in_memory(async |queue, client| {
/// let queue = Queue::new();
/// let id = queue.client().enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
/// assert_eq!(queue.drain(worker()).await?.succeeded, 1);
/// assert_eq!(queue.client().wait(id, Duration::ZERO).await?, "160px.a.png");
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Queue {
    clock: Clock,
    pub(super) store: MemoryStore,
    pub(super) head: MemoryHead,
    client: Client,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("now", &self.now()).field("jobs", &self.jobs().len()).finish_non_exhaustive()
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue. Its clock starts at the time of this machine, and then stands still.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Utc::now())
    }

    /// An empty queue at a time of your choice.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let new_year = "2030-01-01T00:00:00Z".parse()?;
    /// assert_eq!(Queue::starting_at(new_year).now(), new_year);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        let clock = Clock::standing_at(now);
        let (store, head) = (MemoryStore::new(clock.clone(), None), MemoryHead::new(clock.clone(), HEAD_MAX, None));
        let client = leasehold_client::Client::over(Arc::new(store.clone()), Some(Arc::new(head.clone())));
        Self { clock, store, head, client: client.into() }
    }

    /// A client of this queue, for the code under test. Schedules, limits, batches and bulk changes need PostgreSQL.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, _| {
    /// let client = queue.client();
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert!(matches!(client.limits().await, Err(Error::NoSchedules)));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The time of the queue.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Advances the time of the queue. Jobs that are then due wait in the line. Jobs that have expired, or whose time for
    /// retries has ended, are ended by this call.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// client.enqueue(resize("a.png")).delay(Duration::from_secs(60)).send().await?;
    /// assert_eq!(queue.jobs()[0].state, State::Scheduled);
    /// queue.advance(Duration::from_secs(60));
    /// assert_eq!(queue.jobs()[0].state, State::Queued);
    /// # Ok(()) });
    /// ```
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.promote();
    }

    /// All jobs, live and finished, in the order in which they were enqueued.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// client.enqueue(resize("a.png")).send().await?;
    /// queue.drain(worker()).await?;
    /// assert_eq!(queue.jobs()[0].state, State::Succeeded);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn jobs(&self) -> Vec<JobRecord> {
        let rows = self.store.rows();
        let enqueued = rows.journal.iter().filter_map(|entry| match &entry.change {
            Change::Enqueued { job, .. } => Some(job.id),
            _ => None,
        });
        enqueued.filter_map(|id| rows.live.get(&id).or(rows.history.get(&id))).map(Row::record).collect()
    }

    /// Ends jobs that may not begin any more, and moves due scheduled jobs into the line.
    pub(super) fn promote(&self) {
        let mut rows = self.store.rows();
        rows.lapse(i64::MAX);
        rows.promote(i64::MAX, None);
    }

    /// The jobs of this type that wait: scheduled or queued.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert_eq!(queue.enqueued::<Resize>(), [Resize { path: "a.png".into(), width: 160 }]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    /// The payload of a job of this kind is not of this type.
    #[must_use]
    #[track_caller]
    pub fn enqueued<J: Job>(&self) -> Vec<J> {
        self.waiting().into_iter().map(|(_, job)| job).collect()
    }

    /// Asserts that a job of this type waits for which `matches` is true, and returns the id of the first.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// let id = queue.assert_enqueued::<Resize>(|job| job.width == 160);
    /// queue.assert_not_enqueued::<Resize>(|job| job.path == "b.png");
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    /// No such job waits, or the payload of a job of this kind is not of this type.
    #[track_caller]
    pub fn assert_enqueued<J: Job>(&self, matches: impl Fn(&J) -> bool) -> Id<J> {
        let waiting = self.waiting();
        let found = waiting.iter().find(|(_, job)| matches(job));
        let Some((id, _)) = found else { panic!("no job of kind {} matches; {}", J::KIND, self.told()) };
        Id::new(*id)
    }

    /// Asserts that no job of this type waits for which `matches` is true: see [`Queue::assert_enqueued`].
    ///
    /// # Panics
    /// Such a job waits, or the payload of a job of this kind is not of this type.
    #[track_caller]
    pub fn assert_not_enqueued<J: Job>(&self, matches: impl Fn(&J) -> bool) {
        let found = self.waiting::<J>().into_iter().find(|(_, job)| matches(job));
        assert!(found.is_none(), "a job of kind {} matches; {}", J::KIND, self.told());
    }

    /// Runs the due jobs that this worker serves, one after another in the order of the line, each at most once. This
    /// includes jobs that the handlers enqueue. A job that fails waits for its next attempt for the time of its
    /// backoff: see [`Queue::advance`].
    ///
    /// Needs a runtime of tokio. Timeouts of jobs are measured in the time of tokio, which `start_paused = true` makes
    /// virtual.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// client.enqueue(Resize { path: "b.png".into(), width: 0 }).send().await?;
    /// let tally = queue.drain(worker()).await?;
    /// assert_eq!((tally.succeeded, tally.buried), (1, 1));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The worker is built wrongly, as in [`WorkerBuilder::run_until`].
    pub async fn drain(&self, worker: WorkerBuilder) -> Result<Tally, Error> {
        drain::drain(self, worker).await
    }

    #[track_caller]
    fn waiting<J: Job>(&self) -> Vec<(JobId, J)> {
        let waits = |job: &JobRecord| job.kind == J::KIND && matches!(job.state, State::Scheduled | State::Queued);
        let typed = |job: JobRecord| match serde_json::from_str(job.payload.get()) {
            Ok(typed) => (job.id, typed),
            Err(error) => panic!("the payload of {} is not what {} takes: {error}", job.id, J::KIND),
        };
        self.jobs().into_iter().filter(waits).map(typed).collect()
    }

    /// All jobs in a few words, for the message of an assertion.
    fn told(&self) -> String {
        let jobs = self.jobs();
        let each =
            jobs.iter().map(|job| format!("\n  {} in {}, {}: {}", job.kind, job.queue, job.state, job.payload.get()));
        format!("the queue has {} jobs:{}", jobs.len(), each.collect::<String>())
    }
}
