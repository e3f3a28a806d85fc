//! One run from the view of its handler, and the signal that tells the handler to stop.

use leasehold_core::{
    ClaimedJob, Encryption, Fence, InvalidProgress, NewJob, PARENTS_MAX_BYTES, Parent, Report, Success, Told,
};
use leasehold_ports::{ReadParents, Waiting};
use leasehold_telemetry::traces;
use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::{sync::Notify, time::Instant};

/// Why a handler should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// A client cancelled the job.
    Cancelled,
    /// The lease is lost. Another worker may have the job now, and every write of this run will be refused.
    LeaseLost,
    /// The job's timeout has passed.
    TimedOut,
    /// The worker stops, and its grace has ended.
    Stopping,
}

/// One run from the view of its handler. Cheap to clone.
///
/// ```
/// # use leasehold_worker::{Run, StopReason};
/// # async fn work(page: u32) {}
/// async fn all_pages(run: &Run) -> Result<(), StopReason> {
///     for page in 0..100 {
///         if let Some(reason) = run.stop_reason() {
///             return Err(reason);
///         }
///         work(page).await;
///         let _ = run.progress(f64::from(page + 1) / 100.0, format!("page {page}"));
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Run {
    inner: Arc<Inner>,
    /// Empty in the worker, which clones runs all the time.
    state: HandlerState,
}

/// Values that all runs of a worker share, one of each type: a connection pool, for example, or a client of another
/// service. Cheap to clone. `WorkerBuilder::state` gives them to a worker; the test of a handler makes one:
///
/// ```
/// # use leasehold_core::{ClaimedJob, Fence, JobId, QueueName, WorkerId};
/// # use leasehold_worker::{HandlerState, Run};
/// # use serde_json::value::to_raw_value;
/// let fence = Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
/// let job = ClaimedJob::new(fence, QueueName::default(), "greet".parse()?, to_raw_value(&())?);
/// let run = Run::new(job).with_state(HandlerState::default().with("Hello"));
/// assert_eq!(run.state::<&str>()?, &"Hello");
/// assert!(run.state::<u64>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HandlerState(Option<Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl HandlerState {
    /// The same state with this value. The value replaces an earlier value of the same type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(self, value: T) -> Self {
        let mut values = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        values.insert(TypeId::of::<T>(), Arc::new(value));
        Self(Some(Arc::new(values)))
    }

    /// Whether there is no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// A handler asks for a type of which the worker has no value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the worker has no state of type {of}; give it one with `WorkerBuilder::state`")]
pub struct MissingState {
    of: &'static str,
}

/// The parents of the job cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the parents of the job cannot be read: {0}")]
pub struct ParentsError(String);

#[derive(Debug)]
struct Inner {
    job: ClaimedJob,
    /// Reads the parents of the job.
    store: Option<Arc<dyn ReadParents>>,
    /// Wakes the task that writes the progress of runs.
    reports: Option<Arc<Notify>>,
    reason: OnceLock<StopReason>,
    stopped: Notify,
    /// The jobs that follow if this run succeeds.
    following: Mutex<Vec<NewJob>>,
    /// The handler has ended the run in its own transaction. The jobs that are in the line when it has committed.
    completed: OnceLock<Mutex<Vec<Waiting>>>,
    /// The progress that the run has reported. `None`: nothing yet.
    reported: Mutex<Option<Reported>>,
}

/// The progress that a run has reported, and the part of it that is written.
#[derive(Debug, Default)]
struct Reported {
    told: Told<Instant>,
    /// A part of the progress was not sent to PostgreSQL.
    is_unsent: bool,
    /// A part was sent, and PostgreSQL has not answered.
    is_in_flight: bool,
}

impl Run {
    /// A run of this job, without state and without parents. Workers make runs; the test of a handler may make one too.
    ///
    /// ```
    /// # use leasehold_core::{ClaimedJob, Fence, JobId, QueueName, WorkerId};
    /// # use leasehold_worker::Run;
    /// # use serde_json::value::to_raw_value;
    /// let fence = Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
    /// let job = ClaimedJob::new(fence, QueueName::default(), "greet".parse()?, to_raw_value("Ada")?);
    /// let run = Run::new(job.with(|job| job.attempt = 3));
    /// assert_eq!((run.job().attempt, run.fence()), (3, fence));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(job: ClaimedJob) -> Self {
        Self::made(job, None, None)
    }

    /// A run of this job, without state, with the store that has the parents of the job.
    #[doc(hidden)]
    #[must_use]
    pub fn new_in(store: Arc<dyn ReadParents>, job: ClaimedJob) -> Self {
        Self::made(job, Some(store), None)
    }

    /// The same, with the signal for the task that writes the progress of runs.
    pub(crate) fn of_worker(store: Arc<dyn ReadParents>, reports: Arc<Notify>, job: ClaimedJob) -> Self {
        Self::made(job, Some(store), Some(reports))
    }

    fn made(job: ClaimedJob, store: Option<Arc<dyn ReadParents>>, reports: Option<Arc<Notify>>) -> Self {
        let inner = Inner {
            job,
            store,
            reports,
            reason: OnceLock::new(),
            stopped: Notify::new(),
            following: Mutex::default(),
            completed: OnceLock::new(),
            reported: Mutex::default(),
        };
        Self { inner: Arc::new(inner), state: HandlerState::default() }
    }

    /// The same run with the state of its worker.
    #[must_use]
    pub fn with_state(self, state: HandlerState) -> Self {
        Self { state, ..self }
    }

    /// The jobs that this job waited for, in the order of its `depends_on`, each with its state and its result. Results
    /// beyond 4 MiB together are left out. Asks PostgreSQL, unless the job has no parents.
    ///
    /// ```
    /// # async fn doc(run: &leasehold_worker::Run) -> Result<(), Box<dyn std::error::Error>> {
    /// let parents = run.parents().await?;
    /// let results = parents.iter().filter_map(|parent| parent.result.as_ref());
    /// let sizes = results.map(|result| serde_json::from_str(result.get())).collect::<Result<Vec<u64>, _>>()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL cannot be asked.
    pub async fn parents(&self) -> Result<Vec<Parent>, ParentsError> {
        match &self.inner.store {
            Some(store) if self.inner.job.has_parents => {
                let parents = store.parents(self.inner.job.fence.id, PARENTS_MAX_BYTES).await;
                parents.map_err(|error| ParentsError(error.to_string()))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The success in the form in which a transaction of the handler may write it: the result is encrypted if the payload was
    /// encrypted, and each follow-on job is encrypted if its queue takes encrypted payloads.
    ///
    /// # Errors
    /// The result or a payload is too long for encryption, or PostgreSQL cannot be asked.
    #[doc(hidden)]
    pub async fn encrypted(&self, success: Success) -> Result<Success, leasehold_ports::Error> {
        let Some(store) = &self.inner.store else { return Ok(success) };
        let result = match success.result {
            Some(result) if self.inner.job.encryption == Encryption::Decrypted => {
                Some(store.encrypt_result(self.inner.job.fence.id, &result).await?)
            }
            result => result,
        };
        let then = if success.then.is_empty() { success.then } else { store.encrypt_jobs(&success.then).await? };
        Ok(Success { result, then })
    }

    /// A value that all runs of this worker share: see [`HandlerState`].
    ///
    /// # Errors
    /// The worker has no value of this type.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<&T, MissingState> {
        let value = self.state.0.as_ref().and_then(|values| values.get(&TypeId::of::<T>()));
        value.and_then(|value| value.downcast_ref()).ok_or(MissingState { of: type_name::<T>() })
    }

    /// Enqueues a job if this run succeeds, in the transaction that ends the run: the job exists if and only if the success
    /// of this run is accepted. Up to 1000 jobs, with payloads of up to 4 MiB together. If one of them is invalid, the job of
    /// this run is dead, with the reason. A job whose unique key is held is skipped.
    /// If the worker exports traces, a job without a trace belongs to the trace of this run.
    ///
    /// ```
    /// # use leasehold_core::NewJob;
    /// # fn doc(run: &leasehold_worker::Run) -> Result<(), Box<dyn std::error::Error>> {
    /// run.then(NewJob::new("mail".parse()?, serde_json::value::to_raw_value("the images are ready")?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn then(&self, mut job: NewJob) {
        if job.traceparent.is_none() {
            job.traceparent = traces::current();
        }
        self.inner.following.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// Reports how far the run is, from 0 to 1, and a note about its current work. An empty note counts as no note. The
    /// worker writes the progress of all its runs together, twice a second at most, so a handler may call this as often as it
    /// likes. Readers see the last part and the latest 16 notes of up to 500 bytes: `leasehold job show`, `leasehold job
    /// watch`, `Client::job`.
    ///
    /// ```
    /// # fn doc(run: &leasehold_worker::Run) -> Result<(), Box<dyn std::error::Error>> {
    /// run.progress(0.5, "half of the pages")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `done` is not a number from 0 to 1. In this case nothing was reported, also not the note.
    pub fn progress(&self, done: f64, note: impl AsRef<str>) -> Result<(), InvalidProgress> {
        self.tell(|told| {
            told.progress(done)?;
            told.note(Instant::now(), note.as_ref());
            Ok(())
        })
    }

    /// Adds a note to the progress of the run.
    ///
    /// ```
    /// # fn doc(run: &leasehold_worker::Run) {
    /// run.note("the server is slow today");
    /// # }
    /// ```
    pub fn note(&self, note: impl AsRef<str>) {
        let told = self.tell(|told| {
            told.note(Instant::now(), note.as_ref());
            Ok(())
        });
        debug_assert!(told.is_ok(), "a note is never refused");
    }

    fn tell(
        &self,
        tell: impl FnOnce(&mut Told<Instant>) -> Result<(), InvalidProgress>,
    ) -> Result<(), InvalidProgress> {
        let mut reported = self.inner.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let reported = reported.get_or_insert_default();
        tell(&mut reported.told)?;
        reported.is_unsent = true;
        if let Some(reports) = &self.inner.reports {
            reports.notify_one();
        }
        Ok(())
    }

    fn reported<T: Default>(&self, read: impl FnOnce(&mut Reported) -> T) -> T {
        let mut reported = self.inner.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.as_mut().map(read).unwrap_or_default()
    }

    /// Whether the run has reported something that was not sent.
    pub(crate) fn has_unsent_report(&self) -> bool {
        self.reported(|reported| reported.is_unsent)
    }

    /// Whether a report was sent and is not answered.
    pub(crate) fn has_report_in_flight(&self) -> bool {
        self.reported(|reported| reported.is_in_flight)
    }

    /// The progress of the run, if a part of it was not sent. It is then in flight, until [`Run::report_answered`].
    pub(crate) fn take_report(&self) -> Option<Report> {
        self.reported(|reported| {
            let is_sent_now = std::mem::take(&mut reported.is_unsent);
            reported.is_in_flight |= is_sent_now;
            is_sent_now.then(|| reported.told.report(self.fence(), |at| at.elapsed()))
        })
    }

    /// The report in flight was written, or it must be sent again.
    pub(crate) fn report_answered(&self, is_written: bool) {
        self.reported(|reported| {
            reported.is_in_flight = false;
            reported.is_unsent |= !is_written;
        });
    }

    /// Reads the jobs that follow if this run succeeds.
    pub(crate) fn with_following<T>(&self, read: impl FnOnce(&[NewJob]) -> T) -> T {
        read(&self.inner.following.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the jobs that follow if this run succeeds.
    #[doc(hidden)]
    #[must_use]
    pub fn take_following(&self) -> Vec<NewJob> {
        std::mem::take(&mut self.inner.following.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a transaction of the handler ends this run, if it is committed. `in_line`: the jobs that are then in the line.
    #[doc(hidden)]
    pub fn note_completed(&self, in_line: Vec<Waiting>) {
        // A second call is impossible: the first one has removed the row.
        let _ = self.inner.completed.set(Mutex::new(in_line));
    }

    /// Whether a transaction of the handler ends this run, if it is committed.
    pub(crate) fn is_completed(&self) -> bool {
        self.inner.completed.get().is_some()
    }

    /// The jobs that the transaction of the handler has brought into the line.
    pub(crate) fn take_in_line(&self) -> Vec<Waiting> {
        let in_line = self.inner.completed.get();
        in_line
            .map(|jobs| std::mem::take(&mut *jobs.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &ClaimedJob {
        &self.inner.job
    }

    /// The name of this run. Pass the fence to every system with side effects, so that the system can refuse a stale
    /// run.
    ///
    /// ```
    /// # fn doc(run: &leasehold_worker::Run) {
    /// let fence = run.fence();
    /// // The storage keeps the highest epoch of each job, and refuses a lower one.
    /// let headers = [("job", fence.id.to_string()), ("epoch", fence.epoch.to_string())];
    /// # }
    /// ```
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.inner.job.fence
    }

    /// The trace that the job belongs to: `traceparent` of W3C Trace Context, if the call that enqueued the job had one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.inner.job.traceparent.as_deref()
    }

    /// Ready when the handler should stop.
    /// A handler that does not stop is dropped at its next await, after
    /// [`Handler::stop_timeout`](crate::Handler::stop_timeout).
    ///
    /// ```
    /// # use leasehold_worker::{Run, StopReason};
    /// # async fn download(url: &str) -> Vec<u8> { Vec::new() }
    /// async fn fetch(run: &Run, url: &str) -> Result<Vec<u8>, StopReason> {
    ///     tokio::select! {
    ///         bytes = download(url) => Ok(bytes),
    ///         reason = run.cancelled() => Err(reason),
    ///     }
    /// }
    /// ```
    pub async fn cancelled(&self) -> StopReason {
        loop {
            // Listen before the check: then a stop between the two is not missed.
            let stopped = self.inner.stopped.notified();
            if let Some(reason) = self.stop_reason() {
                return reason;
            }
            stopped.await;
        }
    }

    /// Why the handler should stop; `None` if it need not stop.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.reason.get().copied()
    }

    /// Tells the handler to stop. The first reason counts. Returns whether this call gave the first reason.
    ///
    /// ```
    /// # use leasehold_worker::{Run, StopReason};
    /// # fn doc(run: &Run) {
    /// // In the test of a handler that must notice a cancel.
    /// run.stop(StopReason::Cancelled);
    /// assert_eq!(run.stop_reason(), Some(StopReason::Cancelled));
    /// # }
    /// ```
    pub fn stop(&self, reason: StopReason) -> bool {
        let first = self.inner.reason.set(reason).is_ok();
        self.inner.stopped.notify_waiters();
        first
    }
}
