//! The calls of a client, on one pair of stores.

use crate::{
    Config, ConfigError, Error, StoreError,
    explain::{Explanation, Facts, POSITION_LIMIT},
    hints::HintSender,
    pair::Pair,
    traces::Sending,
    waiter::Waiter,
};
use chrono::{DateTime, Utc};
use leasehold_core::{BATCH_MAX, FailPoint, JobId, JobRecord, Kind, NewJob, QueueName, State, pass};
use leasehold_ports::{
    Cancelled, ClientHead, ClientStore, Enqueued, Finished, Hint, Notice, Revived, Stretch, Waiting,
};
use leasehold_store::LockedOut;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How many times a batch is sent before its outcome counts as unknown.
pub(crate) const ATTEMPTS: u32 = 6;
/// No attempt begins later than this after the first one. While PostgreSQL does not answer at all, each attempt takes as long as
/// `database.acquire_timeout_ms`, and a caller over HTTP waits for 30 s at most.
const RESENT_WITHIN: Duration = Duration::from_secs(12);
/// The delay before the second attempt; the delay doubles each time: 0.1 + 0.2 + … + 1.6 s in all.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(100);
/// How many hints are pushed when a kind is resumed: as many as a fleet can start before the next tick of a reaper.
const FIRST_HINTS: i64 = 256;
/// How long the read of these jobs may take. It is slow only while PostgreSQL must keep many dead rows.
const FIRST_WITHIN: Duration = Duration::from_millis(250);

/// Enqueues jobs, waits for them, cancels and revives them. Cheap to clone.
///
/// Every call needs only PostgreSQL. Redis gets hints while Redis answers, within a quarter of a second.
#[derive(Clone)]
pub struct Client {
    pub(crate) store: Arc<dyn ClientStore>,
    pub(crate) head: Option<Arc<dyn ClientHead>>,
    pub(crate) hints: Option<Arc<HintSender>>,
    waiter: Waiter,
    /// The same stores, if they are PostgreSQL and Redis.
    pair: Option<Pair>,
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
        Ok(Self::new(Pair::connect(config, "leasehold client").await?))
    }

    /// A client of stores that are already connected.
    #[must_use]
    pub fn new(pair: Pair) -> Self {
        let client = Self::over(pair.store.clone().into(), pair.handoff.clone().map(Into::into));
        Self { pair: Some(pair), ..client }
    }

    /// A client of other stores, such as stores in memory. Without a head, workers get no hints.
    #[must_use]
    pub fn over(store: Arc<dyn ClientStore>, head: Option<Arc<dyn ClientHead>>) -> Self {
        let hints = head.clone().map(|head| Arc::new(HintSender::new(head)));
        Self { waiter: Waiter::new(Arc::clone(&store), hints.clone()), store, head, hints, pair: None }
    }

    /// PostgreSQL and Redis, for calls that this client has no method for. `None` for a client of other stores.
    #[must_use]
    pub const fn pair(&self) -> Option<&Pair> {
        self.pair.as_ref()
    }

    /// Enqueues jobs of any kind, in batches; the answers are in the order of the jobs.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the only job is invalid, [`Error::InvalidOf`] if one of several is; then no job is sent.
    /// Otherwise the batches before the failed batch are accepted. When a connection is lost, the batch is sent
    /// again under the same ids, a few times. When open transactions of other sessions hold ids or unique keys for
    /// longer than `database.lock_timeout_ms`, the error is [`Error::Locked`], and all other jobs are accepted.
    pub async fn enqueue_many(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        for (nth, job) in jobs.iter().enumerate() {
            job.validate().map_err(|source| match jobs.len() {
                1 => Error::Invalid(source),
                of => Error::InvalidOf { nth, of, source },
            })?;
        }
        match Sending::begin(jobs) {
            None => self.enqueue_batches(jobs).await,
            // In a box, because it would make the task of every other call larger.
            Some(sending) => Box::pin(sending.run(|jobs| self.enqueue_batches(jobs))).await,
        }
    }

    async fn enqueue_batches(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut held = Vec::new();
        for batch in jobs.chunks(BATCH_MAX) {
            let (accepted, resent) = match self.send(batch).await {
                Err(Error::Locked(locked)) => {
                    let first = answers.len();
                    held.extend(locked.held.into_iter().map(|held| held.after(first)));
                    (locked.accepted, false)
                }
                sent => {
                    let (accepted, resent) = sent?;
                    (accepted.into_iter().map(Some).collect(), resent)
                }
            };
            let there = batch.iter().zip(&accepted).filter_map(|(job, answer)| Some((job, answer.as_ref()?)));
            self.tell_of(there, resent).await;
            answers.extend(accepted);
        }
        let all: Option<Vec<Enqueued>> = if held.is_empty() { answers.iter().cloned().collect() } else { None };
        all.ok_or_else(|| Error::Locked(Box::new(LockedOut::new("enqueueing jobs", held, answers))))
    }

    /// Sends one batch until its outcome is known or all attempts are spent. Also returns whether the batch was sent
    /// more than once.
    async fn send(&self, batch: &[NewJob]) -> Result<(Vec<Enqueued>, bool), Error> {
        let mut failed = match self.store.enqueue(batch).await {
            Err(error) if error.is_transient() && !is_locked(&error) => error,
            answers => return Ok((answers?, false)),
        };
        let mut unsure = may_have_been_written(&failed);
        let resend = |job: &NewJob| job.clone().with(|job| job.id_may_exist = true);
        let again: Vec<NewJob> = batch.iter().map(resend).collect();
        let (mut delay, begun) = (FIRST_DELAY, tokio::time::Instant::now());
        for _ in 1..ATTEMPTS {
            if begun.elapsed() > RESENT_WITHIN {
                break;
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
            failed = match self.store.enqueue(&again).await {
                Err(error) if error.is_transient() && !is_locked(&error) => error,
                Err(error) if unsure && !is_locked(&error) => return Err(outcome_unknown(batch, error)),
                answers => return Ok((answers?, true)),
            };
            unsure |= may_have_been_written(&failed);
        }
        Err(if unsure { outcome_unknown(batch, failed) } else { failed.into() })
    }

    /// Pushes hints for jobs that are new in the line. A job that existed before may belong to another queue, so it
    /// gets no hint.
    pub(crate) async fn tell_of<'a>(&self, accepted: impl Iterator<Item = (&'a NewJob, &'a Enqueued)>, resent: bool) {
        pass(FailPoint::EnqueueCommitted);
        let mut parked: BTreeMap<&QueueName, Vec<String>> = BTreeMap::new();
        let mut by_queue: BTreeMap<&QueueName, Vec<Hint>> = BTreeMap::new();
        let mut next_due: Option<Duration> = None;
        for (job, answer) in accepted {
            let ours = answer.inserted || answer.replaced || (resent && answer.id == job.id);
            if ours
                && answer.state == State::Queued
                && answer.line_at.is_none()
                && let Some(key) = &job.fair_key
            {
                parked.entry(&job.queue).or_default().push(key.clone());
            }
            if ours && answer.state == State::Scheduled {
                let due = due_in(job);
                next_due = Some(next_due.map_or(due, |before| before.min(due)));
            }
            if let Some(line_at) = answer.line_at.filter(|_| ours && answer.state == State::Queued) {
                by_queue.entry(&job.queue).or_default().push(Hint::at(answer.id, line_at));
            }
        }
        for (queue, keys) in parked {
            self.admit_fair(queue, keys).await;
        }
        let Some(hints) = &self.hints else { return };
        for (queue, new) in by_queue {
            hints.push(queue, &new).await;
        }
        if let Some(due) = next_due.and_then(Notice::due) {
            hints.notify(&[due]).await;
        }
    }

    /// Brings parked jobs of a queue into the line, as far as fair shares allow. This only saves time: a reaper does the same.
    async fn admit_fair(&self, queue: &QueueName, mut keys: Vec<String>) {
        keys.sort_unstable();
        keys.dedup();
        match self.store.admit_fair(queue, &keys).await {
            Ok(admitted) => self.tell_of_admitted(queue, &admitted).await,
            Err(error) => tracing::debug!(%error, %queue, "no parked job was admitted"),
        }
    }

    /// Pushes hints for jobs of a queue that have come into the line, and removes the hints of jobs that have left the line.
    pub(crate) async fn tell_of_admitted(&self, queue: &QueueName, admitted: &[Waiting]) {
        let Some(hints) = &self.hints else { return };
        let gone: Vec<JobId> = admitted.iter().filter(|job| !job.is_in_line).map(|job| job.id).collect();
        if !gone.is_empty() {
            hints.forget(queue, &gone).await;
        }
        let in_line = admitted.iter().filter(|job| job.is_in_line);
        let mut new: Vec<Hint> = in_line.map(|job| Hint::at(job.id, job.line_at)).collect();
        if !new.is_empty() {
            new.sort_unstable_by_key(|hint| (hint.line_at, hint.id));
            hints.push(queue, &new).await;
        }
    }

    /// Waits until a job of any kind has reached its end: succeeded, dead or cancelled.
    ///
    /// Learns over Redis when the job has ended. Also polls PostgreSQL, at intervals that grow to half a second, because a
    /// message can be lost. All waits of one client share one subscription and their statements.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn wait_finished(&self, id: JobId, timeout: Duration) -> Result<Finished, Error> {
        match tokio::time::timeout(timeout, self.waiter.wait(id)).await {
            Ok(finished) => finished,
            // The job may have finished since the last read.
            Err(_) => match self.store.job(id).await? {
                None => Err(Error::NoSuchJob(id)),
                Some(JobRecord { state, result, last_error, .. }) if state.is_final() => {
                    Ok(Finished::new(id, state, result, last_error))
                }
                Some(_) => Err(Error::TimedOut(id)),
            },
        }
    }

    /// One job as it is now, live or finished.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn job(&self, id: impl Into<JobId>) -> Result<Option<JobRecord>, Error> {
        Ok(self.store.job(id.into()).await?)
    }

    /// Why a job is in its state, by the clock of the database; `None` if no job has this id. Without Redis the
    /// explanation leaves out the workers, and says so.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn explain(&self, id: impl Into<JobId>) -> Result<Option<Explanation>, Error> {
        let id = id.into();
        let Some(moment) = self.store.job_moment(id).await? else { return Ok(None) };
        let position = match moment.job.state {
            State::Queued => self.store.position(id, POSITION_LIMIT).await?,
            _ => None,
        };
        let workers = match &self.head {
            Some(head) => head.workers().await.map_err(|error| error.to_string()),
            None => Err(ConfigError::missing("redis.url").to_string()),
        };
        let hint = match (&self.head, moment.job.state, moment.job.queue.parse::<QueueName>()) {
            (Some(head), State::Queued, Ok(queue)) => head.find_hint(&queue, id).await.ok(),
            _ => None,
        };
        let parents = match moment.job.state {
            State::Blocked => self.store.parents(id, 0).await?,
            _ => Vec::new(),
        };
        let last_served = match (&self.head, moment.job.queue.parse::<QueueName>()) {
            (Some(head), Ok(queue)) if !moment.job.state.is_final() && moment.job.state != State::Running => {
                head.last_served(&queue).await.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Ok(Some(Explanation::of(&Facts { moment, position, workers, last_served, parents, hint })))
    }

    /// Cancels jobs: waiting jobs end immediately; the workers of running jobs are told to stop. An id that belongs to no job is
    /// not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        let answers = self.store.cancel(ids).await?;
        let changed: Vec<Cancelled> = answers.iter().filter(|answer| answer.changed).cloned().collect();
        self.tell_of_cancels(&changed).await;
        Ok(answers)
    }

    /// Puts finished jobs back into the line with all their attempts. Also puts scheduled jobs into the line immediately. Jobs
    /// in other states, and ids that belong to no job, are not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails, or a live job has taken the unique key of one of the jobs.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        let mut answers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH_MAX) {
            let revived = self.store.revive(batch).await?;
            pass(FailPoint::ReviveCommitted);
            self.tell_of_revived(&revived).await;
            answers.extend(revived);
        }
        Ok(answers)
    }

    /// Pauses a queue: no job of the queue is claimed until the queue is resumed; running jobs continue. Returns whether that
    /// changed anything.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        let changed = self.store.pause(queue).await?;
        self.set_paused(queue, true).await;
        Ok(changed)
    }

    /// Sets the priority step of this queue: the waiting time that one point of priority is worth. Moves the waiting jobs and
    /// returns how many it moved.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        let moved = self.store.set_priority_step(queue, step).await;
        // The hints are removed even if some jobs are locked, because all other jobs have moved.
        if let Some(hints) = &self.hints
            && moved.as_ref().map_or(true, |moved| *moved > 0)
        {
            hints.clear(queue).await;
        }
        Ok(moved?)
    }

    /// Resumes a queue. Returns whether the queue was paused. Kinds that are paused in this queue stay paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        let changed = self.store.resume(queue).await?;
        self.set_paused(queue, false).await;
        Ok(changed)
    }

    /// Pauses a kind in a queue: no job of the kind is claimed in this queue until the kind is resumed. Running jobs continue,
    /// and jobs of other kinds are claimed. Neither the queue nor the kind needs to have a job. Returns whether that changed
    /// anything.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        Ok(self.store.pause_kind(queue, kind).await?)
    }

    /// Resumes a kind in a queue. Returns whether the kind was paused. If the queue is paused too, it stays paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        let changed = self.store.resume_kind(queue, kind).await?;
        if changed {
            self.push_first(queue, kind).await;
        }
        Ok(changed)
    }

    /// The paused kinds of one queue or of all queues, each with its queue.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn paused_kinds(&self, queue: Option<&QueueName>) -> Result<Vec<(QueueName, Kind)>, Error> {
        Ok(self.store.paused_kinds(queue).await?)
    }

    /// Pushes the hints of the first jobs of a kind that was just resumed, so that workers need not wait for a tick of a reaper.
    /// The next tick of the reaper fills the head with the other jobs.
    async fn push_first(&self, queue: &QueueName, kind: &Kind) {
        let Some(hints) = &self.hints else { return };
        let stretch = Stretch { kind: kind.clone(), scan_start: None };
        let reading = self.store.line(queue, std::slice::from_ref(&stretch), FIRST_HINTS);
        match tokio::time::timeout(FIRST_WITHIN, reading).await {
            Ok(Ok((line, _))) if !line.hints.is_empty() => drop(hints.push(queue, &line.hints).await),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot read the first jobs of a resumed kind"),
            Err(_) => tracing::debug!("reading the first jobs of a resumed kind takes too long"),
        }
    }

    /// This only saves time: PostgreSQL refuses claims of a paused queue, and a reaper also tells Redis.
    async fn set_paused(&self, queue: &QueueName, paused: bool) {
        if let Some(hints) = &self.hints {
            hints.set_paused(queue, paused).await;
        }
    }

    /// Cancels the waiting jobs of a queue, one batch per call. Returns the ids of this batch: none when no job waits.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn purge(&self, queue: &QueueName) -> Result<Vec<JobId>, Error> {
        let gone = self.store.purge(queue, i64::try_from(BATCH_MAX).unwrap_or(i64::MAX)).await?;
        if let Some(hints) = &self.hints
            && !gone.is_empty()
        {
            hints.forget(queue, &gone).await;
        }
        Ok(gone)
    }
}

/// The time until a job is due, by the clock of this process. Reapers ask the database again.
fn due_in(job: &NewJob) -> Duration {
    let until = |run_at: DateTime<Utc>| (run_at - Utc::now()).to_std().unwrap_or_default();
    job.run_at.map(until).or(job.delay).unwrap_or_default()
}

fn outcome_unknown(batch: &[NewJob], source: leasehold_ports::Error) -> Error {
    Error::OutcomeUnknown { ids: batch.iter().map(|job| job.id).collect(), source: StoreError::from(source) }
}

/// Whether the call has already waited for the locks of other sessions.
pub(crate) fn is_locked(error: &leasehold_ports::Error) -> bool {
    matches!(error.source.downcast_ref(), Some(leasehold_store::Error::Locked(_)))
}

/// Whether the server may have executed a call that failed with this error.
pub(crate) fn may_have_been_written(error: &leasehold_ports::Error) -> bool {
    let source = match error.source.downcast_ref() {
        Some(leasehold_store::Error::Sql { source, .. }) => source,
        Some(other) => return matches!(other, leasehold_store::Error::InPart { .. }),
        // Other stores do not report this.
        None => return true,
    };
    match source {
        // The server has refused the statement, unless it was stopped during the call.
        sqlx::Error::Database(said) => {
            said.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        // There was no connection, so nothing was sent.
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
        _ => true,
    }
}
