//! The subject of the tests: the store in memory. Also the changes that tests make to rows by hand.

use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{JobId, Lifecycle, NewJob, NewSchedule, State, WorkerId};
use leasehold_ports::{ClientStore, Error, Expired, ReaperStore, Waiting, WorkerStore};
use leasehold_tests::{Clock, KeyLimit, MemoryStore, Row};
use serde_json::value::RawValue;
use std::ops::Deref;

/// A store in memory.
pub(crate) struct Fixture {
    store: MemoryStore,
    clock: Clock,
}

/// All that the suite asks of a store.
pub(crate) trait All: ClientStore + WorkerStore + ReaperStore {}

impl All for MemoryStore {}

impl Deref for Fixture {
    type Target = dyn All;
    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

/// The verbs of clients.
impl Fixture {
    pub(crate) async fn start() -> Self {
        let clock = Clock::start_at(Utc::now());
        Self { store: MemoryStore::new(clock.clone(), None), clock }
    }

    pub(crate) async fn with_connections(_max_connections: u32) -> Self {
        Self::start().await
    }

    pub(crate) async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        Ok(self.store.rows().expire(limit, since, &[]))
    }

    pub(crate) async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        Ok(self.store.rows().unblock(ids))
    }
}

/// Changes that tests make to rows by hand.
impl Fixture {
    fn edit(&self, mut edit: impl FnMut(&mut Row)) {
        self.store.rows().live.values_mut().for_each(&mut edit);
    }

    fn edit_one(&self, id: JobId, mut edit: impl FnMut(&mut Row)) {
        self.edit(|row| {
            if row.life.id == id {
                edit(row);
            }
        });
    }

    /// Makes the lease of this job end a second ago.
    pub(crate) async fn end_lease(&self, id: JobId) {
        self.edit_one(id, |row| row.lease_until = Some(self.clock.now() - TimeDelta::seconds(1)));
    }

    /// Makes all scheduled jobs due.
    pub(crate) async fn make_scheduled_due(&self) {
        self.edit(|row| {
            if row.life.state == State::Scheduled {
                row.run_at = self.clock.now() - TimeDelta::seconds(1);
            }
        });
    }

    /// Makes the time in which jobs may begin end a second ago, for all jobs that have such a time.
    pub(crate) async fn make_overdue(&self) {
        let past = self.clock.now() - TimeDelta::seconds(1);
        self.edit(|row| {
            row.expires_at = row.expires_at.map(|_| past);
            row.retry_until = row.retry_until.map(|_| past);
        });
    }

    /// Makes the time end a second ago until which unique keys are held.
    pub(crate) async fn make_periods_over(&self) {
        let past = self.clock.now() - TimeDelta::seconds(1);
        self.store.rows().unique_periods.values_mut().for_each(|(until, _)| *until = past);
    }

    /// Makes all runs start a minute ago.
    pub(crate) async fn make_runs_old(&self) {
        self.edit(|row| row.started_at = row.started_at.map(|began| began - TimeDelta::minutes(1)));
    }

    /// Brings all jobs in danger: one more crash ends each of them.
    pub(crate) async fn endanger_all(&self) {
        self.edit(|row| (row.life.crashes, row.life.epoch, row.life.attempt) = (2, 2, 2));
    }

    pub(crate) async fn set_max_attempts(&self, id: JobId, max_attempts: i32) {
        self.edit_one(id, |row| row.life.max_attempts = max_attempts);
    }

    pub(crate) async fn set_crashes(&self, id: JobId, crashes: i16) {
        self.edit_one(id, |row| row.life.crashes = crashes);
    }

    /// Makes a job an hour older: its row and its due time.
    pub(crate) async fn make_older(&self, id: JobId) {
        self.edit_one(id, |row| {
            row.created_at -= TimeDelta::hours(1);
            row.run_at -= TimeDelta::hours(1);
        });
    }

    /// Blocks a waiting job, with a `run_at` in the future.
    pub(crate) async fn block(&self, id: JobId) {
        self.edit_one(id, |row| {
            row.life.state = State::Blocked;
            row.run_at = self.clock.now() + TimeDelta::days(1);
        });
    }

    /// Writes these rows and removes all others. All of them are due, and their leases have run out.
    pub(crate) async fn write_rows(&self, jobs: &[Lifecycle], finished_by: WorkerId) {
        let mut rows = self.store.rows();
        rows.live.clear();
        rows.history.clear();
        let ago = |time| self.clock.now() - time;
        for &life in jobs {
            let payload = RawValue::from_string("1".to_owned()).expect("JSON");
            let is_running = life.state == State::Running;
            let row = Row {
                life,
                job: NewJob { id: life.id, ..NewJob::new("k".parse().expect("a kind"), payload) },
                run_at: ago(TimeDelta::hours(1)),
                priority_step: TimeDelta::hours(1),
                created_at: ago(TimeDelta::hours(1)),
                started_at: is_running.then(|| self.clock.now()),
                finished_at: life.state.is_final().then(|| self.clock.now()),
                lease_until: is_running.then(|| ago(TimeDelta::seconds(1))),
                cancel_at: life.cancel_wanted.then(|| self.clock.now()),
                retry_until: None,
                expires_at: None,
                key_moved: false,
                ended_by: life.state.is_final().then_some(finished_by),
                last_error: None,
                result: None,
                progress: None,
                trail: Vec::new(),
            };
            let table = if life.state.is_final() { &mut rows.history } else { &mut rows.live };
            table.insert(life.id, row);
        }
    }

    /// Makes or changes a schedule, whose first tick is then.
    pub(crate) async fn set_schedule(&self, schedule: &NewSchedule, next_at: DateTime<Utc>) {
        self.store.rows().set_schedule(schedule, next_at);
    }

    /// Sets the number of runs that a limit key allows.
    pub(crate) async fn set_running_limit(&self, key: &str, most: i32) {
        self.store.rows().set_limit(key, KeyLimit { running: usize::try_from(most).ok(), rate: None });
    }

    /// The number of live jobs.
    pub(crate) async fn live_jobs(&self) -> i64 {
        self.store.rows().live.len() as i64
    }

    /// The number of live jobs with this unique key.
    pub(crate) async fn live_with_key(&self, key: &str) -> i64 {
        let rows = self.store.rows();
        rows.live.values().filter(|row| row.job.unique_key.as_deref() == Some(key)).count() as i64
    }

    /// The number of rows of a job: live ones and finished ones.
    pub(crate) async fn rows_of(&self, id: JobId) -> (i64, i64) {
        let rows = self.store.rows();
        (i64::from(rows.live.contains_key(&id)), i64::from(rows.history.contains_key(&id)))
    }

    /// Checks the same conditions as the CHECKs of the tables.
    pub(crate) async fn keeps_the_invariants(&self) {
        let rows = self.store.rows();
        for row in rows.live.values() {
            let (life, is_running) = (row.life, row.life.state == State::Running);
            let is_legal = !life.state.is_final()
                && life.worker.is_some() == is_running
                && row.lease_until.is_some() == is_running
                && (is_running || !life.cancel_wanted && life.attempt < life.max_attempts)
                && life.attempt <= life.max_attempts
                && life.attempt <= life.epoch
                && life.crashes < life.max_crashes;
            assert!(is_legal && !rows.history.contains_key(&life.id), "{row:?}");
        }
        assert!(rows.history.values().all(|row| row.life.state.is_final() && row.life.worker.is_none()));
    }
}
