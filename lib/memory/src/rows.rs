//! The rows of PostgreSQL, and the one place that changes the state of a row.

use crate::{
    broken::Broken,
    clock::Clock,
    graphs::Edges,
    journal::{Change, Entry},
    limits::Limits,
    schedules::ScheduleRow,
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{
    Claimability, Event, Fence, JobId, JobRecord, Kind, Lifecycle, NewJob, Progress, QueueName, Refusal, ScheduleName,
    State, TRAIL_MAX_ENTRIES, TrailEntry, Unique, UniqueRule, Verb, WorkerId,
};
use leasehold_ports::{Deferred, Kinds, Waiting};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A job, live or finished.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct Row {
    pub life: Lifecycle,
    pub job: NewJob,
    pub run_at: DateTime<Utc>,
    /// The waiting time that one point of priority is worth.
    pub priority_step: TimeDelta,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub lease_until: Option<DateTime<Utc>>,
    pub cancel_at: Option<DateTime<Utc>>,
    /// The worker that held the job when it ended.
    pub ended_by: Option<WorkerId>,
    /// No attempt begins later.
    pub retry_until: Option<DateTime<Utc>>,
    /// The job is cancelled if it has not begun by this time.
    pub expires_at: Option<DateTime<Utc>>,
    /// The unique key has moved, because the job has begun: it is free, or in its second place.
    pub key_moved: bool,
    pub last_error: Option<String>,
    pub result: Option<Box<RawValue>>,
    /// The progress that the last run has reported.
    pub progress: Option<Progress>,
    pub trail: Vec<TrailEntry>,
}

/// The whole content of PostgreSQL.
#[derive(Debug)]
pub struct Rows {
    /// Live jobs.
    pub live: BTreeMap<JobId, Row>,
    /// Finished jobs.
    pub history: BTreeMap<JobId, Row>,
    /// Paused queues: no job of them is claimed.
    pub paused: BTreeSet<QueueName>,
    /// Paused kinds, each in one queue: no job of the kind is claimed there.
    pub paused_kinds: BTreeSet<(QueueName, Kind)>,
    /// When a queue, or a kind in it, was last resumed.
    pub(crate) resumed: BTreeMap<QueueName, DateTime<Utc>>,
    /// The waiting time that one point of priority is worth, for queues that do not have the default.
    pub priority_steps: BTreeMap<QueueName, TimeDelta>,
    /// The journal of all events.
    pub journal: Vec<Entry>,
    /// Rows that other transactions have locked, each with the end of the lock.
    pub locked: BTreeMap<JobId, DateTime<Utc>>,
    /// Results that workers have left for a reaper.
    pub deferred: BTreeMap<Fence, Deferred>,
    /// The dependencies between jobs.
    pub(crate) edges: Edges,
    /// Jobs that came into the line because other jobs have ended, until a settle returns them.
    pub(crate) unblocked: Vec<Waiting>,
    /// Schedules, by name.
    pub schedules: BTreeMap<ScheduleName, ScheduleRow>,
    /// The ticks that schedules have fired, each with its job.
    pub schedule_ticks: BTreeMap<(ScheduleName, DateTime<Utc>), JobId>,
    /// Unique keys that are held until a time, each with its job.
    pub unique_periods: BTreeMap<String, (DateTime<Utc>, JobId)>,
    /// The limits of keys.
    pub limits: Limits,
    /// How often somebody changed a limit.
    pub limit_changes: u64,
    /// How often somebody changed or fired a schedule.
    pub schedule_changes: u64,
    /// The start of the server, in ms of the clock.
    pub up_since_ms: i64,
    /// When a reaper last confirmed that the server can be reached and that leases may expire.
    pub watched_at: Option<DateTime<Utc>>,
    /// How long a survey walks over dead rows.
    pub(crate) dead_rows: Duration,
    pub(crate) clock: Clock,
    pub(crate) broken: Option<Broken>,
}

impl Row {
    /// The position in the line. The lowest comes first.
    #[must_use]
    pub fn place(&self) -> (DateTime<Utc>, JobId) {
        (self.line_at(), self.life.id)
    }

    /// The position in the line.
    #[must_use]
    pub fn line_at(&self) -> DateTime<Utc> {
        self.run_at - self.priority_step * i32::from(self.job.priority)
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { id: self.life.id, queue: self.job.queue.clone(), line_at: self.line_at(), is_in_line: true }
    }

    /// What happens to the unique key when the job begins.
    pub(crate) fn unique_rule(&self) -> Option<UniqueRule> {
        self.job.unique.as_ref().and_then(Unique::rule)
    }

    /// The unique key, if the job holds its first place.
    pub(crate) fn first_place(&self) -> Option<&str> {
        self.job.unique_key.as_deref().filter(|_| !self.key_moved)
    }

    /// The unique key, if the job holds its second place.
    pub(crate) fn second_place(&self) -> Option<&str> {
        let is_second = self.key_moved && self.unique_rule() == Some(UniqueRule::KeepLast);
        self.job.unique_key.as_deref().filter(|_| is_second)
    }

    /// Until when an attempt may begin.
    pub(crate) fn begins_until(&self) -> Option<DateTime<Utc>> {
        self.expires_at.into_iter().chain(self.retry_until).min()
    }

    /// The job becomes a run: its unique key moves.
    pub(crate) fn begin(&mut self, now: DateTime<Utc>) {
        self.started_at = Some(now);
        self.key_moved |= self.unique_rule().is_some();
    }

    /// An attempt is spent: from the first one on, the time for retries is limited.
    pub(crate) fn limit_retries(&mut self) {
        let for_time = self.job.retry.and_then(|retry| retry.for_time);
        if let (None, Some(time), Some(started)) = (self.retry_until, for_time, self.started_at) {
            self.retry_until = Some(later(started, time));
        }
    }

    pub(crate) const fn has_crashed(&self) -> bool {
        self.life.crashes > 0
    }

    /// One more crash ends the job.
    pub(crate) const fn is_in_danger(&self) -> bool {
        self.life.crashes > 0 && self.life.crashes + 1 >= self.life.max_crashes
    }

    /// Whether a worker of these kinds may claim the job, apart from locks.
    fn claimability(&self, is_paused: bool, kinds: &Kinds) -> Claimability {
        let Lifecycle { state, crashes, max_crashes, .. } = self.life;
        Claimability::of(state, is_paused, serves(kinds, &self.job.kind), crashes, max_crashes)
    }

    /// Adds an event to the trail.
    pub(crate) fn note(&mut self, at: DateTime<Utc>, verb: Verb, worker: Option<WorkerId>, note: Option<String>) {
        self.enter(at, verb.as_str().to_owned(), worker, note);
    }

    /// Adds an entry to the trail; the newest entries are kept.
    pub(crate) fn enter(&mut self, at: DateTime<Utc>, verb: String, worker: Option<WorkerId>, note: Option<String>) {
        if self.trail.len() >= TRAIL_MAX_ENTRIES {
            self.trail.remove(0);
        }
        let note = note.map(|note| note.chars().take(1000).collect());
        self.trail.push(TrailEntry::new(at, verb, self.life.epoch, worker, note));
    }

    /// The job in the form of the view.
    #[must_use]
    pub fn record(&self) -> JobRecord {
        let Self { life, job, .. } = self.clone();
        JobRecord::new(life.id, job.kind.into(), life.state, job.payload, self.created_at).with(|record| {
            record.queue = job.queue.into();
            record.priority = job.priority;
            record.result = self.result.clone();
            record.last_error = self.last_error.clone();
            record.attempt = life.attempt;
            record.max_attempts = life.max_attempts;
            record.crashes = life.crashes;
            record.max_crashes = life.max_crashes;
            record.epoch = life.epoch;
            record.worker = life.worker.or(self.ended_by);
            record.run_at = self.run_at;
            record.started_at = self.started_at;
            record.finished_at = self.finished_at;
            record.lease_expires_at = self.lease_until;
            record.cancel_requested_at = self.cancel_at;
            record.timeout_ms = job.timeout.and_then(|timeout| i32::try_from(timeout.as_millis()).ok());
            record.unique_key = job.unique_key;
            record.limit_key = job.limit_keys.first().cloned();
            record.limit_keys = (!job.limit_keys.is_empty()).then_some(job.limit_keys);
            record.retry = job.retry;
            record.retry_until = self.retry_until;
            record.expires_at = self.expires_at;
            record.unique_rule = job.unique.as_ref().and_then(Unique::rule);
            record.batch = job.batch;
            record.fair_key = job.fair_key;
            record.progress = self.progress.clone();
            record.webhook = job.webhook;
            record.trail = self.trail.clone();
        })
    }
}

impl Rows {
    pub(crate) fn new(clock: Clock, broken: Option<Broken>) -> Self {
        Self {
            live: BTreeMap::new(),
            history: BTreeMap::new(),
            paused: BTreeSet::new(),
            paused_kinds: BTreeSet::new(),
            resumed: BTreeMap::new(),
            priority_steps: BTreeMap::new(),
            locked: BTreeMap::new(),
            deferred: BTreeMap::new(),
            edges: Edges::default(),
            unblocked: Vec::new(),
            journal: Vec::new(),
            schedules: BTreeMap::new(),
            schedule_ticks: BTreeMap::new(),
            unique_periods: BTreeMap::new(),
            limits: Limits::default(),
            limit_changes: 0,
            schedule_changes: 0,
            // The server has been up for a day.
            up_since_ms: -86_400_000,
            watched_at: None,
            dead_rows: Duration::ZERO,
            clock,
            broken,
        }
    }

    /// The time, by the clock of the server.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Restarts the server; it is down for this long.
    pub fn restarted_in(&mut self, time: Duration) {
        self.up_since_ms = self.clock.ms().saturating_add(i64::try_from(time.as_millis()).unwrap_or_default());
    }

    /// Another transaction locks a row for this long.
    pub fn lock(&mut self, id: JobId, time: Duration) {
        self.locked.insert(id, later(self.clock.now(), time));
    }

    /// Whether another transaction holds a lock on the row.
    pub fn is_locked(&self, id: JobId) -> bool {
        self.locked.get(&id).is_some_and(|until| *until > self.clock.now())
    }

    pub(crate) fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    pub(crate) fn log(&mut self, change: Change) {
        self.journal.push(Entry { at: self.clock.now(), change });
    }

    /// Whether a worker of these kinds may claim the job, apart from locks.
    pub(crate) fn claimability(&self, row: &Row, is_paused: bool, kinds: &Kinds) -> Claimability {
        let is_overdue = row.begins_until().is_some_and(|until| until <= self.clock.now());
        let has_limit_keys = !row.job.limit_keys.is_empty();
        let claimability = row.claimability(is_paused, kinds).but(is_overdue, self.key_held_by(row).is_some());
        claimability.limited(has_limit_keys, self.has_room(row))
    }

    /// The job that has begun with the same unique key, if only one of these jobs may run.
    pub(crate) fn key_held_by(&self, row: &Row) -> Option<JobId> {
        let key = row.first_place().filter(|_| row.unique_rule() == Some(UniqueRule::KeepLast))?;
        self.live.values().find(|other| other.second_place() == Some(key)).map(|other| other.life.id)
    }

    /// Applies an event to a live job, by the state machine. `with` writes the other changes of the row.
    pub(crate) fn happen(
        &mut self,
        id: JobId,
        event: Event,
        lease: Option<Duration>,
        with: impl FnOnce(&mut Row, DateTime<Utc>),
    ) -> Result<(), Refusal> {
        let row = self.live.get(&id).ok_or(Refusal::StaleFence)?;
        let after = row.life.apply(event)?;
        self.write(id, event, after, lease, with);
        Ok(())
    }

    /// The same, but does not tell the children of a job that has ended: the caller does this. Returns whether the event
    /// was legal.
    pub(crate) fn happen_alone(&mut self, id: JobId, event: Event, with: impl FnOnce(&mut Row, DateTime<Utc>)) -> bool {
        let Some(Ok(after)) = self.live.get(&id).map(|row| row.life.apply(event)) else { return false };
        self.write_alone(id, event, after, None, with);
        true
    }

    /// Writes the state of a job after an event, whether the transition is legal or not. Tells the children of a job that has
    /// ended.
    pub(crate) fn write(
        &mut self,
        id: JobId,
        event: Event,
        after: Lifecycle,
        lease: Option<Duration>,
        with: impl FnOnce(&mut Row, DateTime<Utc>),
    ) {
        self.write_alone(id, event, after, lease, with);
        if after.state.is_final() {
            self.parent_ended(id, after.state);
        }
    }

    fn write_alone(
        &mut self,
        id: JobId,
        event: Event,
        after: Lifecycle,
        lease: Option<Duration>,
        with: impl FnOnce(&mut Row, DateTime<Utc>),
    ) {
        let now = self.clock.now();
        let Some(row) = self.live.get_mut(&id) else { return };
        let before = std::mem::replace(&mut row.life, after);
        if let Some(lease) = lease {
            row.lease_until = Some(later(now, lease));
        }
        if after.state != State::Running {
            row.lease_until = None;
            row.cancel_at = None;
        }
        with(row, now);
        if after.state.is_final() {
            row.finished_at = Some(now);
            row.ended_by = before.worker;
            if let Some(row) = self.live.remove(&id) {
                self.history.insert(id, row);
            }
        }
        self.log(Change::Moved { event, before, after, lease });
    }

    /// The line of a queue, in order.
    pub(crate) fn line_of(&self, queue: &QueueName, kinds: &Kinds) -> Vec<&Row> {
        let mut line: Vec<&Row> = self
            .live
            .values()
            .filter(|row| row.life.state == State::Queued && row.job.queue == *queue && serves(kinds, &row.job.kind))
            .filter(|row| self.has_room(row))
            .collect();
        line.sort_by_key(|row| row.place());
        line
    }
}

/// Whether `kinds` contains `kind`.
pub(crate) fn serves(kinds: &Kinds, kind: &Kind) -> bool {
    match kinds {
        Kinds::All => true,
        Kinds::Only(kinds) => kinds.contains(kind),
    }
}

/// A time this much later, in whole ms, at most a century later.
pub(crate) fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    const CENTURY_MS: i64 = 100 * 365 * 86_400_000;
    now + TimeDelta::milliseconds(i64::try_from(by.as_millis()).unwrap_or(CENTURY_MS).min(CENTURY_MS))
}
