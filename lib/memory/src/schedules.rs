//! Schedules: the calls of a reaper, and the change of a client.

use crate::{broken::Broken, rows::Rows};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, NewSchedule};
use leasehold_ports::{DueSchedule, DueSchedules, Enqueued, Fire, FireOutcome, TickJob};

/// A schedule.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct ScheduleRow {
    pub schedule: NewSchedule,
    pub revision: i64,
    /// `None` while the schedule is paused.
    pub next_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

impl Rows {
    /// Makes a schedule or changes the schedule of this name, as `schedule_set.sql`.
    pub fn set_schedule(&mut self, schedule: &NewSchedule, next_at: DateTime<Utc>) {
        let before = self.schedules.get(&schedule.name);
        let row = ScheduleRow {
            schedule: schedule.clone(),
            revision: before.map_or(1, |before| before.revision + 1),
            next_at: match before {
                Some(before) if before.next_at.is_none() || before.schedule.timing == schedule.timing => before.next_at,
                _ => Some(next_at),
            },
            last_error: None,
        };
        self.schedules.insert(schedule.name.clone(), row);
        self.schedule_changes += 1;
    }

    /// Removes all schedules. Their ticks stay, for inspection.
    pub fn remove_schedules(&mut self) {
        self.schedules.clear();
        self.schedule_changes += 1;
    }

    pub(crate) fn due_schedules(&self, limit: i64, since: Option<DateTime<Utc>>) -> DueSchedules {
        let now = self.clock.now();
        let next_of = |row: &ScheduleRow| row.next_at;
        let due = |(_, row): (_, &ScheduleRow)| {
            let next_at = next_of(row).filter(|at| *at <= now && since.is_none_or(|since| *at >= since))?;
            let NewSchedule { name, timing, missed, .. } = row.schedule.clone();
            Some(DueSchedule { name, revision: row.revision, timing, missed, next_at })
        };
        let mut due: Vec<DueSchedule> = self.schedules.iter().filter_map(due).collect();
        due.sort_by(|one, other| (one.next_at, &one.name).cmp(&(other.next_at, &other.name)));
        due.truncate(usize::try_from(limit).unwrap_or_default());
        let next_due = self.schedules.values().filter_map(next_of).filter(|at| *at > now).min();
        DueSchedules { now, due, next_due }
    }

    pub(crate) fn fire_schedules(&mut self, fires: &[Fire]) -> Vec<FireOutcome> {
        fires.iter().map(|fire| self.fire_schedule(fire)).collect()
    }

    fn fire_schedule(&mut self, fire: &Fire) -> FireOutcome {
        let Some(row) = self.schedules.get_mut(&fire.name) else { return FireOutcome::Elsewhere };
        let has_moved_on = row.revision != fire.revision || row.next_at != Some(fire.due_at);
        if has_moved_on && self.broken != Some(Broken::ATickFiresTwice) {
            return FireOutcome::Elsewhere;
        }
        (row.next_at, row.last_error) = (Some(fire.next_at), fire.error.clone());
        let job = row.schedule.job.clone();
        self.schedule_changes += 1;
        if let Some(error) = &fire.error {
            return FireOutcome::Refused(error.clone());
        }
        if let Err(error) = job.validate() {
            return self.refuse_schedule(fire, error.to_string());
        }
        let mut made = Vec::new();
        for &tick in &fire.ticks {
            let place = (fire.name.clone(), tick);
            if self.schedule_ticks.contains_key(&place) && !self.is_broken(Broken::ATickFiresTwice) {
                continue;
            }
            let new = job.clone().with(|job| {
                (job.id, job.id_may_exist) = (self.new_id(tick), false);
                (job.run_at, job.delay) = (Some(tick), None);
            });
            let answer = self.enqueue_one(&new);
            self.schedule_ticks.insert(place, answer.id);
            let Enqueued { id, inserted, state, line_at, .. } = answer;
            made.push(TickJob { tick, id, inserted, state, queue: job.queue.clone(), line_at });
        }
        FireOutcome::Fired(made)
    }

    /// A new id. No randomness: a simulation can be repeated.
    fn new_id(&self, tick: DateTime<Utc>) -> JobId {
        let ms = u64::try_from(tick.timestamp_millis()).unwrap_or_default();
        let mut number = [0; 10];
        number[2..].copy_from_slice(&(self.schedule_ticks.len() as u64).to_be_bytes());
        JobId(uuid::Builder::from_unix_timestamp_millis(ms, &number).into_uuid())
    }

    fn refuse_schedule(&mut self, fire: &Fire, problem: String) -> FireOutcome {
        if let Some(row) = self.schedules.get_mut(&fire.name) {
            row.last_error = Some(problem.clone());
        }
        FireOutcome::Refused(problem)
    }
}
