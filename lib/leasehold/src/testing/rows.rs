//! The jobs of a queue in memory. Each transition is one of the state machine of `lib/core`.

use crate::{
    Cancelled, Enqueued, Error, Finished, JobId, JobRecord, NewJob, QueueName, Revived, State, StopReason, WorkerId,
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{ClaimedJob, Event, Fence, Lifecycle, Refusal, Settle, TrailEntry};
use leasehold_worker::Run;
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One job.
struct Row {
    /// Orders jobs by the time of their enqueue.
    number: usize,
    job: NewJob,
    life: Lifecycle,
    run_at: DateTime<Utc>,
    /// The waiting time that one point of priority is worth.
    priority_step: TimeDelta,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<Box<RawValue>>,
    last_error: Option<String>,
    trail: Vec<TrailEntry>,
    /// The run of a running job, so that a cancel can stop the run.
    run: Option<Run>,
}

/// All jobs of a queue in memory, and its time.
pub(crate) struct Rows {
    now: DateTime<Utc>,
    by_id: BTreeMap<JobId, Row>,
    paused: BTreeSet<QueueName>,
    priority_steps: BTreeMap<QueueName, TimeDelta>,
    worker: WorkerId,
}

impl Rows {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            by_id: BTreeMap::new(),
            paused: BTreeSet::new(),
            priority_steps: BTreeMap::new(),
            worker: WorkerId::new(),
        }
    }

    pub(crate) const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now = later(self.now, by);
        self.promote();
    }

    /// Moves due scheduled jobs into the line.
    fn promote(&mut self) {
        let now = self.now;
        for row in self.by_id.values_mut().filter(|row| row.run_at <= now) {
            if let Ok(life) = row.life.apply(Event::Promote) {
                row.life = life;
            }
        }
    }

    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        for job in jobs {
            job.validate()?;
        }
        Ok(jobs.iter().map(|job| self.enqueue_one(job)).collect())
    }

    fn enqueue_one(&mut self, job: &NewJob) -> Enqueued {
        let has_key = |row: &&Row| !row.life.state.is_final() && row.job.unique_key == job.unique_key;
        let same_id = self.by_id.get(&job.id);
        let same_key = || job.unique_key.as_ref().and_then(|_| self.by_id.values().find(has_key));
        if let Some(row) = same_id.or_else(same_key) {
            return Enqueued { id: row.job.id, inserted: false, state: row.life.state, line_at: None };
        }
        let run_at = job.run_at.unwrap_or_else(|| later(self.now, job.delay.unwrap_or_default()));
        let state = if run_at > self.now { State::Scheduled } else { State::Queued };
        let row = Row {
            number: self.by_id.len(),
            life: Lifecycle::new(job.id, state, job.max_attempts, job.max_crashes),
            job: job.clone(),
            run_at,
            priority_step: self.priority_step(&job.queue),
            created_at: self.now,
            started_at: None,
            finished_at: None,
            result: None,
            last_error: None,
            trail: Vec::new(),
            run: None,
        };
        self.by_id.insert(job.id, row);
        Enqueued { id: job.id, inserted: true, state, line_at: None }
    }

    /// All jobs, in the order in which they were enqueued.
    pub(crate) fn all(&self) -> Vec<JobRecord> {
        let mut rows: Vec<&Row> = self.by_id.values().collect();
        rows.sort_by_key(|row| row.number);
        rows.into_iter().map(Row::record).collect()
    }

    pub(crate) fn job(&self, id: JobId) -> Option<JobRecord> {
        self.by_id.get(&id).map(Row::record)
    }

    fn priority_step(&self, queue: &QueueName) -> TimeDelta {
        self.priority_steps.get(queue).copied().unwrap_or(TimeDelta::hours(1))
    }

    /// Sets what one point of priority is worth, and moves the waiting jobs. Returns how many it moved.
    pub(crate) fn set_priority_step(&mut self, queue: &QueueName, step: Duration) -> u64 {
        let step = TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
        self.priority_steps.insert(queue.clone(), step);
        let mut moved = 0;
        for row in self.by_id.values_mut().filter(|row| row.job.queue == *queue) {
            let waits = !row.life.state.is_final() && row.life.state != State::Running;
            moved += u64::from(waits && row.job.priority != 0 && row.priority_step != step);
            row.priority_step = step;
        }
        moved
    }

    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.paused.iter().any(|paused| paused.as_str() == queue)
    }

    /// The number of jobs of its queue that stand before a job.
    pub(crate) fn position(&self, id: JobId) -> Option<i64> {
        let row = self.by_id.get(&id).filter(|row| row.life.state == State::Queued)?;
        let before = self.by_id.values().filter(|other| {
            other.life.state == State::Queued && other.job.queue == row.job.queue && other.place() < row.place()
        });
        i64::try_from(before.count()).ok()
    }

    pub(crate) fn finished(&self, id: JobId) -> Option<Finished> {
        let row = self.by_id.get(&id).filter(|row| row.life.state.is_final())?;
        let (result, last_error) = (row.result.clone(), row.last_error.clone());
        Some(Finished { id, state: row.life.state, result, last_error })
    }

    /// Claims the first job of the line that the worker serves.
    pub(crate) fn claim(&mut self, fits: impl Fn(&NewJob) -> bool) -> Option<Run> {
        let waits =
            |row: &&mut Row| row.life.state == State::Queued && !self.paused.contains(&row.job.queue) && fits(&row.job);
        let row = self.by_id.values_mut().filter(waits).min_by_key(|row| row.place())?;
        row.life = row.life.apply(Event::Claim(self.worker)).ok()?;
        row.started_at = Some(self.now);
        let run = Run::new(ClaimedJob {
            fence: row.life.fence()?,
            queue: row.job.queue.clone(),
            kind: row.job.kind.clone(),
            payload: row.job.payload.clone(),
            attempt: row.life.attempt,
            max_attempts: row.life.max_attempts,
            crashes: row.life.crashes,
            timeout: row.job.timeout,
            line_at: row.run_at,
        });
        row.run = Some(run.clone());
        Some(run)
    }

    /// Writes the end of a run; returns the way in which the run has ended: cancelled if that was asked for and the job did
    /// not succeed.
    pub(crate) fn settle(&mut self, fence: Fence, settle: Settle) -> Option<Settle> {
        let now = self.now;
        let row = self.by_id.get_mut(&fence.id)?;
        let (life, settle) = match row.life.apply(event(&settle, fence)) {
            Err(Refusal::CancelWanted) => (row.life.apply(Event::CancelRun(fence)).ok()?, Settle::Cancel),
            life => (life.ok()?, settle),
        };
        row.life = life;
        row.run = None;
        let note = |verb: &str, note: Option<&String>| TrailEntry {
            at: now,
            verb: verb.to_owned(),
            epoch: fence.epoch,
            worker: Some(fence.worker),
            note: note.cloned(),
        };
        match &settle {
            Settle::Complete(result) => row.result.clone_from(result),
            Settle::Retry { delay, error } => {
                (row.run_at, row.last_error) = (later(now, *delay), Some(error.clone()));
                row.trail.push(note("retry", Some(error)));
            }
            Settle::Snooze { delay, reason } => {
                row.run_at = later(now, *delay);
                row.trail.push(note("snooze", reason.as_ref()));
            }
            Settle::Release => row.trail.push(note("release", None)),
            Settle::Bury { error } => row.last_error = Some(error.clone()),
            Settle::Cancel => {}
        }
        if life.state.is_final() {
            row.finished_at = Some(now);
        }
        self.promote();
        Some(settle)
    }

    pub(crate) fn cancel(&mut self, ids: &[JobId]) -> Vec<Cancelled> {
        let now = self.now;
        let mut answers = Vec::new();
        for id in ids {
            let Some(row) = self.by_id.get_mut(id) else { continue };
            let running = row.life.fence().map(|fence| (fence.worker, fence.epoch));
            let changed = row.life.apply(Event::Cancel);
            if let Ok(life) = changed {
                row.life = life;
                match &row.run {
                    Some(run) => drop(run.stop(StopReason::Cancelled)),
                    None => row.finished_at = Some(now),
                }
            }
            let (queue, state) = (row.job.queue.clone(), row.life.state);
            answers.push(Cancelled { id: *id, queue, state, running, changed: changed.is_ok() });
        }
        answers
    }

    pub(crate) fn revive(&mut self, ids: &[JobId]) -> Vec<Revived> {
        let now = self.now;
        let mut answers = Vec::new();
        for id in ids {
            let Some(row) = self.by_id.get_mut(id) else { continue };
            // A scheduled job needs no new attempts: its time has come.
            let event = if row.life.state == State::Scheduled { Event::Promote } else { Event::Revive };
            let Ok(life) = row.life.apply(event) else { continue };
            (row.life, row.run_at, row.finished_at) = (life, now, None);
            answers.push(Revived { id: *id, queue: row.job.queue.clone(), line_at: row.run_at });
        }
        answers
    }

    pub(crate) fn set_paused(&mut self, queue: &QueueName, paused: bool) -> bool {
        if paused { self.paused.insert(queue.clone()) } else { self.paused.remove(queue) }
    }

    pub(crate) fn purge(&mut self, queue: &QueueName) -> Vec<JobId> {
        let waits = |row: &&Row| row.job.queue == *queue && row.run.is_none() && !row.life.state.is_final();
        let ids: Vec<JobId> = self.by_id.values().filter(waits).map(|row| row.job.id).collect();
        self.cancel(&ids);
        ids
    }
}

impl Row {
    /// The position in the line: a lower position comes first.
    fn place(&self) -> (DateTime<Utc>, usize) {
        (self.run_at - self.priority_step * i32::from(self.job.priority), self.number)
    }

    fn record(&self) -> JobRecord {
        let (job, life) = (&self.job, &self.life);
        JobRecord {
            id: job.id,
            queue: job.queue.to_string(),
            kind: job.kind.to_string(),
            state: life.state,
            priority: job.priority,
            payload: job.payload.clone(),
            result: self.result.clone(),
            last_error: self.last_error.clone(),
            attempt: life.attempt,
            max_attempts: life.max_attempts,
            crashes: life.crashes,
            max_crashes: life.max_crashes,
            epoch: life.epoch,
            worker: life.worker,
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            lease_expires_at: None,
            cancel_requested_at: None,
            timeout_ms: job.timeout.and_then(|timeout| i32::try_from(timeout.as_millis()).ok()),
            unique_key: job.unique_key.clone(),
            limit_key: job.limit_key.clone(),
            trail: self.trail.clone(),
        }
    }
}

const fn event(settle: &Settle, fence: Fence) -> Event {
    match settle {
        Settle::Complete(_) => Event::Complete(fence),
        Settle::Retry { .. } => Event::Retry(fence),
        Settle::Snooze { .. } => Event::Snooze(fence),
        Settle::Release => Event::Release(fence),
        Settle::Bury { .. } => Event::Bury(fence),
        Settle::Cancel => Event::CancelRun(fence),
    }
}

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
