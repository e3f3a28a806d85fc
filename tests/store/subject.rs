//! The subject of the tests: the store on a real PostgreSQL. Also the changes that tests make to rows by hand.

use crate::POOLER;
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Lifecycle, NewSchedule, State, WorkerId};
use leasehold_store::{KeyLimit, Pooler, ScheduleChange, Settings, Store};
use leasehold_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{ops::Deref, time::Duration};

/// A store and its database.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) database: Database,
    /// For the test's own statements, which bypass the pooler.
    own: PgPool,
}

impl Deref for Fixture {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn settings(url: &str, max_connections: u32) -> Settings {
    Settings {
        url: url.into(),
        pooler: POOLER,
        max_connections,
        acquire_timeout: Duration::from_secs(20),
        lock_timeout: leasehold_store::LOCK_TIMEOUT,
        application_name: "leasehold tests".into(),
    }
}

/// A store on this database, through a pooler in the suite for it.
pub(crate) async fn connect(database: &Database, max_connections: u32) -> Store {
    connect_within(database, max_connections, Duration::from_secs(20)).await
}

/// The same with another connection timeout. The answer timeout is twice as long.
pub(crate) async fn connect_within(database: &Database, max_connections: u32, acquire_timeout: Duration) -> Store {
    let url = match POOLER {
        Pooler::None => database.url.clone(),
        Pooler::Transaction => database.url_through_pgbouncer().await,
    };
    let settings = Settings { acquire_timeout, ..settings(&url, max_connections) };
    Store::connect(&settings).await.expect("connecting")
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with_connections(8).await
    }

    pub(crate) async fn with_connections(max_connections: u32) -> Self {
        Self::on(Database::start().await, max_connections).await
    }

    pub(crate) async fn on(database: Database, max_connections: u32) -> Self {
        let store = connect(&database, max_connections).await;
        let own = match POOLER {
            Pooler::None => store.pool().clone(),
            Pooler::Transaction => PgPoolOptions::new().max_connections(8).connect_lazy(&database.url).expect("a URL"),
        };
        Self { store, database, own }
    }

    /// The pool for the test's own statements.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.own
    }

    /// A new connection in addition to the connections of the store.
    pub(crate) async fn connection(&self) -> PgConnection {
        self.database.connect().await
    }

    /// Runs the test's own statements.
    pub(crate) async fn sql(&self, script: impl Into<String>) {
        let script: String = script.into();
        let done = self.own.execute(AssertSqlSafe(script.clone())).await;
        done.unwrap_or_else(|error| panic!("{script}: {error}"));
    }

    pub(crate) async fn number(&self, query: impl Into<String>) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.into())).fetch_one(&self.own).await.expect("a number")
    }
}

/// Changes that tests make to rows by hand.
impl Fixture {
    /// Makes the lease of this job end a second ago.
    pub(crate) async fn end_lease(&self, id: JobId) {
        self.sql(format!("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 second' WHERE id = '{id}'"))
            .await;
    }

    /// Makes all scheduled jobs due.
    pub(crate) async fn make_scheduled_due(&self) {
        self.sql("UPDATE leasehold.job SET run_at = now() - interval '1 second' WHERE state = 'scheduled'").await;
    }

    /// Makes the time in which jobs may begin end a second ago, for all jobs that have such a time.
    pub(crate) async fn make_overdue(&self) {
        self.sql(
            "UPDATE leasehold.job SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL;
             UPDATE leasehold.job SET retry_until = now() - interval '1 second' WHERE retry_until IS NOT NULL",
        )
        .await;
    }

    /// Makes the time end a second ago until which unique keys are held.
    pub(crate) async fn make_periods_over(&self) {
        self.sql("UPDATE leasehold.unique_period SET until = now() - interval '1 second'").await;
    }

    /// Makes all runs start a minute ago.
    pub(crate) async fn make_runs_old(&self) {
        self.sql("UPDATE leasehold.job SET started_at = now() - interval '1 minute' WHERE state = 'running'").await;
    }

    /// Brings all jobs in danger: one more crash ends each of them.
    pub(crate) async fn endanger_all(&self) {
        self.sql("UPDATE leasehold.job SET crashes = 2, epoch = 2, attempt = 2").await;
    }

    pub(crate) async fn set_max_attempts(&self, id: JobId, max_attempts: i32) {
        self.sql(format!("UPDATE leasehold.job SET max_attempts = {max_attempts} WHERE id = '{id}'")).await;
    }

    pub(crate) async fn set_crashes(&self, id: JobId, crashes: i16) {
        self.sql(format!("UPDATE leasehold.job SET crashes = {crashes} WHERE id = '{id}'")).await;
    }

    /// Makes a job an hour older: its row and its due time.
    pub(crate) async fn make_older(&self, id: JobId) {
        let set = "created_at = created_at - interval '1 hour', run_at = run_at - interval '1 hour'";
        self.sql(format!("UPDATE leasehold.job SET {set} WHERE id = '{id}'")).await;
    }

    /// Blocks a waiting job, with a `run_at` in the future.
    pub(crate) async fn block(&self, id: JobId) {
        let set = "state = 'blocked', run_at = now() + interval '1 day'";
        self.sql(format!("UPDATE leasehold.job SET {set} WHERE id = '{id}'")).await;
    }

    /// Writes these rows and removes all others. All of them are due, and their leases have run out.
    pub(crate) async fn write_rows(&self, jobs: &[Lifecycle], finished_by: WorkerId) {
        let quoted = |worker: Option<WorkerId>| worker.map_or("NULL".to_owned(), |worker| format!("'{worker}'"));
        let (mut live, mut finished) = (Vec::new(), Vec::new());
        for job in jobs {
            let Lifecycle { id, state, epoch, attempt, max_attempts, crashes, max_crashes, worker, cancel_wanted } =
                job;
            let common = format!(
                "'{id}', now() - interval '1 hour', '{state}', {epoch}, {attempt}, {max_attempts}, {crashes}, {max_crashes}, 0, 'default', 'k', '1'"
            );
            if state.is_final() {
                finished.push(format!("({common}, '{finished_by}', now(), now())"));
            } else {
                let running = |value: &str| if *state == State::Running { value.to_owned() } else { "NULL".to_owned() };
                let (started, lease) = (running("now()"), running("now() - interval '1 second'"));
                let cancel = if *cancel_wanted { "now()" } else { "NULL" };
                live.push(format!("({common}, {}, {started}, {lease}, {cancel})", quoted(*worker)));
            }
        }
        let columns = "id, run_at, state, epoch, attempt, max_attempts, crashes, max_crashes, priority, queue, kind, payload, worker";
        let insert = format!(
            "TRUNCATE leasehold.job, leasehold.history;
         INSERT INTO leasehold.job ({columns}, started_at, lease_expires_at, cancel_requested_at) VALUES {};
         INSERT INTO leasehold.history ({columns}, finished_at, created_at) VALUES {}",
            live.join(", "),
            finished.join(", ")
        );
        self.sql(insert).await;
    }

    /// Makes or changes a schedule, whose first tick is then.
    pub(crate) async fn set_schedule(&self, schedule: &NewSchedule, next_at: DateTime<Utc>) {
        let set = ScheduleChange::Set { schedule, next_at };
        self.store.change_schedule(&schedule.name, set).await.expect("setting a schedule");
    }

    /// Sets the number of runs that a limit key allows.
    pub(crate) async fn set_running_limit(&self, key: &str, most: i32) {
        let limit = KeyLimit { running: Some(most), ..KeyLimit::default() };
        self.store.set_limit(key, &limit).await.expect("setting a limit");
    }

    /// The number of live jobs.
    pub(crate) async fn live_jobs(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.job").await
    }

    /// The number of live jobs with this unique key.
    pub(crate) async fn live_with_key(&self, key: &str) -> i64 {
        self.number(format!("SELECT count(*) FROM leasehold.job WHERE unique_key = '{key}'")).await
    }

    /// The number of rows of a job: live ones and finished ones.
    pub(crate) async fn rows_of(&self, id: JobId) -> (i64, i64) {
        let count =
            async |table| self.number(format!("SELECT count(*) FROM leasehold.{table} WHERE id = '{id}'")).await;
        (count("job").await, count("history").await)
    }

    pub(crate) async fn keeps_the_invariants(&self) {
        let found = self.store.violations().await.expect("violations");
        assert!(found.is_empty(), "{found:?}");
    }
}
