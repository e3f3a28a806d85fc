//! The calls of clients and operators.

use crate::{
    broken::Broken,
    journal::Change,
    rows::{Row, Rows, later},
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{Event, JobId, JobRecord, Kind, Lifecycle, NewJob, OnConflict, Place, QueueName, State, Verb};
use leasehold_ports::{
    Cancelled, Class, Enqueued, Error, Finished, JobMoment, Kinds, Placed, Reorder, Reordered, Revived,
    STRICT_PRIORITY_STEP,
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

impl Rows {
    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let valid = jobs.iter().try_for_each(NewJob::validate);
        valid.map_err(|error| Error::new("PostgreSQL", "checking jobs", Class::Invalid, error))?;
        if jobs.iter().any(|job| !job.depends_on.is_empty()) {
            return self.enqueue_graph(jobs);
        }
        Ok(jobs.iter().map(|job| self.enqueue_one(job)).collect())
    }

    pub(crate) fn enqueue_one(&mut self, job: &NewJob) -> Enqueued {
        let there = |row: &Row| Enqueued::new(row.life.id, row.life.state, Some(row.line_at()));
        let job = &with_its_key(job);
        let now = self.clock.now();
        if job.id_may_exist
            && !self.is_broken(Broken::ResendsForgetTheId)
            && let Some(row) = self.history.get(&job.id)
        {
            return there(row);
        }
        if let Some(row) = self.live.get(&job.id) {
            return there(row);
        }
        if let Some(row) = self.key_holder(job, now)
            && !self.is_broken(Broken::UniqueKeysAreNotGuarded)
        {
            let (id, found) = (row.life.id, there(row));
            let replaces = job.unique.as_ref().is_some_and(|unique| unique.on_conflict != OnConflict::Skip);
            return if replaces { self.replace(id, job, now).unwrap_or(found) } else { found };
        }
        let run_at = job.run_at.or_else(|| job.delay.map(|delay| later(now, delay))).unwrap_or(now);
        let state = match (job.depends_on.is_empty(), run_at > now) {
            (false, _) => State::Blocked,
            (true, true) => State::Scheduled,
            (true, false) => State::Queued,
        };
        let life = Lifecycle::new(job.id, state, job.max_attempts, job.max_crashes);
        let row = Row {
            life,
            job: job.clone(),
            run_at,
            priority_step: self.priority_steps.get(&job.queue).copied().unwrap_or(TimeDelta::hours(1)),
            created_at: now,
            started_at: None,
            finished_at: None,
            lease_until: None,
            cancel_at: None,
            retry_until: None,
            expires_at: job.expires_at.or_else(|| job.expires_in.map(|time| later(now, time))),
            key_moved: false,
            ended_by: None,
            last_error: None,
            result: None,
            progress: None,
            trail: Vec::new(),
        };
        let answer = Enqueued::new(job.id, state, Some(row.line_at())).with(|answer| answer.inserted = true);
        if self.is_broken(Broken::EnqueueIsAnsweredUnwritten) && job.id.0.as_bytes()[15].is_multiple_of(8) {
            return answer;
        }
        self.live.insert(job.id, row);
        if let (Some(unique), Some(key)) = (&job.unique, &job.unique_key)
            && let Some(until) = unique.until.or_else(|| unique.for_time.map(|time| later(now, time)))
        {
            self.unique_periods.insert(key.clone(), (until, job.id));
        }
        let (queue, kind, unique_key) = (job.queue.clone(), job.kind.clone(), job.unique_key.clone());
        self.log(Change::Enqueued { job: life, queue, kind, unique_key });
        answer
    }

    /// The job because of which a new job is not inserted: it holds the first place of the unique key, or the key until a time.
    fn key_holder(&self, job: &NewJob, now: DateTime<Utc>) -> Option<&Row> {
        let key = job.unique_key.as_deref()?;
        let has_period = job.unique.as_ref().is_some_and(|unique| unique.until.is_some() || unique.for_time.is_some());
        let of_period = self.unique_periods.get(key).filter(|(until, _)| has_period && *until > now).map(|(_, id)| id);
        let of_period = of_period.and_then(|id| self.live.get(id).or(self.history.get(id)));
        of_period.or_else(|| self.live.values().find(|row| row.first_place() == Some(key)))
    }

    /// As replace_waiting.sql: replaces the fields of a waiting job.
    fn replace(&mut self, id: JobId, job: &NewJob, now: DateTime<Utc>) -> Option<Enqueued> {
        let row = self.live.get(&id).filter(|row| row.life.state != State::Running)?;
        let longest = job.unique.as_ref().and_then(|unique| unique.longest_wait);
        let latest = longest.map(|time| later(row.created_at, time));
        let run_at = job.run_at.or_else(|| job.delay.map(|delay| later(now, delay))).unwrap_or(now);
        let run_at = latest.map_or(run_at, |latest| run_at.min(latest));
        let keeps_place = run_at <= now && row.life.state == State::Queued;
        let run_at = if keeps_place { row.run_at } else { run_at };
        let step = self.priority_steps.get(&job.queue).copied().unwrap_or(TimeDelta::hours(1));
        let become_new = |row: &mut Row, now| {
            (row.life.max_attempts, row.life.max_crashes) = (job.max_attempts, job.max_crashes);
            row.job = job.clone().with(|job| job.id = id);
            (row.run_at, row.priority_step) = (run_at, step);
            (row.retry_until, row.last_error) = (None, None);
            row.expires_at = job.expires_at.or_else(|| job.expires_in.map(|time| later(now, time)));
        };
        self.happen(id, Event::Replace { is_due: run_at <= now }, None, become_new).ok()?;
        let row = self.live.get(&id)?;
        Some(Enqueued::new(id, row.life.state, Some(row.line_at())).with(|answer| answer.replaced = true))
    }

    pub(crate) fn cancel(&mut self, ids: &[JobId]) -> Vec<Cancelled> {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        let answers: Vec<Cancelled> = ids.into_iter().filter_map(|id| self.cancel_one(id)).collect();
        for answer in answers.iter().filter(|answer| answer.changed) {
            self.log(Change::CancelAnswered { id: answer.id });
        }
        answers
    }

    fn cancel_one(&mut self, id: JobId) -> Option<Cancelled> {
        if let Some(row) = self.live.get(&id) {
            let forgotten = self.is_broken(Broken::CancelIsForgotten) && row.life.state == State::Running;
            let running = row.life.worker.map(|worker| (worker, row.life.epoch));
            let queue = row.job.queue.clone();
            if !forgotten {
                let flag = running.is_some();
                let asked = self.happen(id, Event::Cancel, None, |row, now| {
                    if flag {
                        row.cancel_at.get_or_insert(now);
                    }
                });
                asked.ok()?;
            }
            let state = if running.is_some() { State::Running } else { State::Cancelled };
            return Some(Cancelled::new(id, queue, state, running, true));
        }
        let row = self.history.get(&id)?;
        let queue = row.job.queue.clone();
        Some(Cancelled::new(id, queue, row.life.state, None, false))
    }

    pub(crate) fn place(&mut self, ids: &[JobId], place: &Place) -> Result<Vec<Placed>, Error> {
        place.validate().map_err(|error| Error::new("PostgreSQL", "placing jobs", Class::Invalid, error))?;
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        Ok(ids.into_iter().filter_map(|id| self.place_one(id, place)).collect())
    }

    fn place_one(&mut self, id: JobId, place: &Place) -> Option<Placed> {
        let hour = TimeDelta::hours(1);
        let Some(row) = self.live.get_mut(&id) else {
            let row = self.history.get(&id)?;
            let queue = row.job.queue.clone();
            let state = row.life.state;
            return Some(Placed::new(id, queue.clone(), queue, state));
        };
        let was_in = row.job.queue.clone();
        let priority = place.priority().unwrap_or(row.job.priority);
        let queue = place.queue().unwrap_or(&was_in).clone();
        let changed = row.life.state != State::Running && (priority != row.job.priority || queue != was_in);
        if changed {
            (row.job.priority, row.job.queue) = (priority, queue);
            row.priority_step = self.priority_steps.get(&row.job.queue).copied().unwrap_or(hour);
        }
        let line_at = changed.then(|| row.line_at());
        let placed = Placed::new(id, was_in, row.job.queue.clone(), row.life.state);
        Some(placed.with(|placed| (placed.line_at, placed.changed) = (line_at, changed)))
    }

    pub(crate) fn pause(&mut self, queue: &QueueName) -> bool {
        let changed = self.paused.insert(queue.clone());
        self.log(Change::Paused { queue: queue.clone() });
        changed
    }

    pub(crate) fn resume(&mut self, queue: &QueueName) -> bool {
        let changed = self.paused.remove(queue);
        self.note_resume(queue, changed);
        self.log(Change::Resumed { queue: queue.clone() });
        changed
    }

    pub(crate) fn pause_kind(&mut self, queue: &QueueName, kind: &Kind) -> bool {
        let changed = self.paused_kinds.insert((queue.clone(), kind.clone()));
        self.log(Change::KindPaused { queue: queue.clone(), kind: kind.clone() });
        changed
    }

    pub(crate) fn resume_kind(&mut self, queue: &QueueName, kind: &Kind) -> bool {
        let changed = self.paused_kinds.remove(&(queue.clone(), kind.clone()));
        self.note_resume(queue, changed);
        self.log(Change::KindResumed { queue: queue.clone(), kind: kind.clone() });
        changed
    }

    fn note_resume(&mut self, queue: &QueueName, changed: bool) {
        if changed {
            self.resumed.insert(queue.clone(), self.clock.now());
        }
    }

    /// Whether no claim may take the job, because its queue or its kind is paused.
    pub(crate) fn is_paused(&self, row: &Row) -> bool {
        self.paused.contains(&row.job.queue) || self.is_kind_paused(row)
    }

    /// Whether the kind of the job is paused in its queue.
    pub(crate) fn is_kind_paused(&self, row: &Row) -> bool {
        self.paused_kinds.iter().any(|(queue, kind)| *queue == row.job.queue && *kind == row.job.kind)
    }

    /// Moves the waiting jobs of the queue, and returns how many it moved.
    pub(crate) fn is_strict(&self, queue: &QueueName) -> bool {
        self.priority_steps
            .get(queue)
            .and_then(|step| step.to_std().ok())
            .is_some_and(|step| step >= STRICT_PRIORITY_STEP)
    }

    pub(crate) fn set_priority_step(&mut self, queue: &QueueName, step: Duration) -> u64 {
        let step = TimeDelta::from_std(step.min(STRICT_PRIORITY_STEP)).unwrap_or(TimeDelta::MAX);
        self.priority_steps.insert(queue.clone(), step);
        let mut moved = 0;
        for row in self.live.values_mut().chain(self.history.values_mut()).filter(|row| row.job.queue == *queue) {
            let waits = !row.life.state.is_final() && row.life.state != State::Running;
            moved += u64::from(waits && row.job.priority != 0 && row.priority_step != step);
            row.priority_step = step;
        }
        moved
    }

    /// In memory, all jobs move together with the change of the step.
    pub(crate) fn reorders(&self) -> Vec<Reorder> {
        Vec::new()
    }

    pub(crate) fn reorder_line(&mut self, _queue: &QueueName, _after: Option<JobId>, _limit: i64) -> Reordered {
        Reordered::default()
    }

    pub(crate) fn reorder_jobs(&mut self, _queue: &QueueName, _ids: &[JobId]) -> Reordered {
        Reordered::default()
    }

    pub(crate) fn reorder_done(&mut self, _queue: &QueueName, _since: i64) {}

    pub(crate) fn purge(&mut self, queue: &QueueName, limit: i64) -> Vec<JobId> {
        let of_queue = |state| {
            let waits = move |row: &&Row| row.life.state == state && row.job.queue == *queue;
            self.live.values().filter(waits).map(|row| row.life.id).filter(|id| !self.is_locked(*id))
        };
        let all = [State::Queued, State::Scheduled, State::Blocked].into_iter().flat_map(of_queue);
        let ids: Vec<JobId> = all.take(usize::try_from(limit).unwrap_or_default()).collect();
        self.cancel(&ids);
        ids
    }

    pub(crate) fn job(&self, id: JobId) -> Option<JobRecord> {
        self.live.get(&id).or(self.history.get(&id)).map(Row::record)
    }

    pub(crate) fn job_moment(&self, id: JobId) -> Option<JobMoment> {
        let row = self.live.get(&id).or(self.history.get(&id))?;
        let paused = self.paused.contains(&row.job.queue);
        let waits = matches!(row.life.state, State::Queued | State::Scheduled);
        let key_held_by = self.key_held_by(row).filter(|_| waits);
        let limits = if row.life.state == State::Queued { self.held_limits(&row.job.limit_keys) } else { Vec::new() };
        Some(JobMoment {
            job: row.record(),
            as_of: self.clock.now(),
            paused,
            kind_paused: self.is_kind_paused(row),
            key_held_by,
            locked_by: None,
            limits,
            share: None,
        })
    }

    pub(crate) fn finished(&self, ids: &[JobId]) -> Vec<Finished> {
        let finished =
            |row: &Row| Finished::new(row.life.id, row.life.state, row.result.clone(), row.last_error.clone());
        ids.iter().filter_map(|id| self.history.get(id)).map(finished).collect()
    }

    /// The number of jobs in the line before this job, up to `limit`.
    pub(crate) fn position(&self, id: JobId, limit: i64) -> Option<i64> {
        let row = self.live.get(&id).filter(|row| row.life.state == State::Queued)?;
        let line = self.line_of(&row.job.queue, &Kinds::All);
        let before = line.partition_point(|other| other.place() < row.place());
        Some(i64::try_from(before).unwrap_or(i64::MAX).min(limit))
    }

    pub(crate) fn revive(&mut self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        let mut keys: BTreeSet<&str> = self.live.values().filter_map(Row::first_place).collect();
        for row in ids.iter().filter_map(|id| self.history.get(id)) {
            if let Some(key) = row.job.unique_key.as_deref()
                && !keys.insert(key)
            {
                let taken = format!("the unique key of {} is taken by a live job", row.life.id);
                return Err(Error::new("PostgreSQL", "reviving jobs", Class::Refused, taken));
            }
        }
        Ok(ids.into_iter().filter_map(|id| self.revive_one(id)).collect())
    }

    fn revive_one(&mut self, id: JobId) -> Option<Revived> {
        if let Some(mut row) = self.history.remove(&id) {
            let now = self.clock.now();
            let (before, ended_by) = (row.life, row.ended_by.take());
            row.note(now, Verb::Revive, ended_by, Some(format!("was {}", before.state)));
            (row.run_at, row.started_at, row.finished_at, row.result) = (now, None, None, None);
            (row.retry_until, row.expires_at, row.key_moved, row.progress) = (None, None, false, None);
            self.live.insert(id, row);
            self.happen(id, Event::Revive, None, |_, _| {}).ok()?;
        } else {
            // A promotion before the job is due.
            self.live.get(&id).filter(|row| row.life.state == State::Scheduled)?;
            let hurry = |row: &mut Row, now| {
                let note = format!("was scheduled for {}", row.run_at);
                row.note(now, Verb::Revive, None, Some(note));
                row.run_at = now;
            };
            self.happen(id, Event::Promote, None, hurry).ok()?;
        }
        let row = self.live.get(&id)?;
        Some(Revived::new(id, row.job.queue.clone(), row.line_at()))
    }
}

/// The job, with a unique key made from its payload if the job asks for one. PostgreSQL makes a different text from the same
/// fields.
fn with_its_key(job: &NewJob) -> NewJob {
    let mut job = job.clone();
    let Some(unique) = job.unique.as_ref().filter(|unique| unique.makes_key()) else { return job };
    // Objects are sorted by their keys.
    let payload: Value = serde_json::from_str(job.payload.get()).unwrap_or_default();
    let content = match unique.payload {
        true => payload,
        false => unique.fields.iter().map(|field| (field.clone(), payload[field].clone())).collect(),
    };
    job.unique_key = Some(format!("{}:{content}", job.kind));
    job
}
