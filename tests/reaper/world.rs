//! Both stores, with short functions for the tests of the reaper and of doctor.

use leasehold_core::{ClaimedJob, FinishedRun, JobId, Kind, NewJob, QueueName, Settle, State, WorkerId};
use leasehold_handoff::{Handoff, HeadStats, Hint, Snapshot};
use leasehold_reaper::{HANDOFF_LEASE, Reaper, Settings, StepReport};
use leasehold_store::{Kinds, Store};
use leasehold_tests::Stores;
use redis::aio::MultiplexedConnection;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;

/// Longer than any test takes.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// The bound of a head. It is small, so that a short line is longer than its head.
pub(crate) const HEAD_MAX: u32 = 64;
/// The lease of the reapers in these tests: for this time after an outage of PostgreSQL they expire nothing.
/// Half of it is longer than any pause between two ticks on a slow machine: a reaper that has not looked for half a lease waits too.
pub(crate) const QUIET: Duration = Duration::from_secs(3);
/// The time limit of a wait.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Both stores.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) handoff: Handoff,
    pub(crate) stores: Stores,
    pub(crate) head_max: u32,
}

pub(crate) fn queue() -> QueueName {
    QueueName::default()
}

pub(crate) fn kind(name: &str) -> Kind {
    name.parse().expect("a kind")
}

pub(crate) fn new_job() -> NewJob {
    NewJob::new(kind("k"), RawValue::from_string("{}".to_owned()).expect("JSON"))
}

/// The report of one step of a tick.
pub(crate) fn report<'a>(reports: &'a [StepReport], step: &str) -> &'a StepReport {
    reports.iter().find(|report| report.step == step).unwrap_or_else(|| panic!("no {step} among {reports:?}"))
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::on(Stores::start().await, HEAD_MAX).await
    }

    pub(crate) async fn with_head_max(head_max: u32) -> Self {
        Self::on(Stores::start().await, head_max).await
    }

    pub(crate) async fn on(stores: Stores, head_max: u32) -> Self {
        let of_postgres = leasehold_store::Settings {
            url: stores.database.url.clone().into(),
            max_connections: 8,
            pooler: leasehold_store::Pooler::None,
            acquire_timeout: Duration::from_secs(2),
            lock_timeout: leasehold_store::LOCK_TIMEOUT,
            application_name: "leasehold tests".to_owned(),
        };
        let of_redis = leasehold_handoff::Settings {
            ca_file: None,
            key_prefix: leasehold_handoff::KeyPrefix::default(),
            url: stores.redis.url.clone().into(),
            head_max,
            max_connections: 8,
            timeout: Duration::from_secs(2),
        };
        let store = Store::connect(&of_postgres).await.expect("PostgreSQL");
        let handoff = Handoff::connect(&of_redis).await.expect("Redis");
        Self { store, handoff, stores, head_max }
    }

    /// A reaper that may expire leases, because another reaper kept watch until now. It has run its first tick.
    pub(crate) async fn reaper(&self) -> Reaper {
        self.store.keep_watch().await.expect("keeping watch");
        let mut reaper = self.new_reaper();
        leasehold_tests::eventually("the reaper may expire", SOON, async || {
            let reports = reaper.tick().await;
            if reports.iter().any(|report| report.step == "expire") { Ok(()) } else { Err(reports) }
        })
        .await;
        reaper
    }

    pub(crate) fn new_reaper(&self) -> Reaper {
        Reaper::new(self.store.clone(), self.handoff.clone(), self.settings())
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            tick: Duration::from_millis(50),
            head_max: self.head_max,
            handoff_lease: HANDOFF_LEASE,
            lease: QUIET,
            keep_finished: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Enqueues jobs without pushing their hints. Returns their ids in the order of the line.
    pub(crate) async fn enqueue(&self, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| new_job()).collect();
        self.enqueue_these(&jobs).await
    }

    pub(crate) async fn enqueue_these(&self, jobs: &[NewJob]) -> Vec<JobId> {
        self.store.enqueue(jobs).await.expect("enqueue").iter().map(|answer| answer.id).collect()
    }

    /// Pushes hints of jobs that are in the line.
    pub(crate) async fn push(&self, ids: &[JobId]) {
        let looked = self.store.look(ids, &Kinds::All).await.expect("look");
        let position = |id: &JobId| looked.iter().find(|job| job.id == *id).expect("a live job").line_at;
        let hints: Vec<Hint> = ids.iter().map(|id| Hint::at(*id, position(id))).collect();
        self.handoff.push(&queue(), &hints).await.expect("push");
    }

    /// Enqueues jobs and pushes their hints.
    pub(crate) async fn enqueue_and_push(&self, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| new_job()).collect();
        let answers = self.store.enqueue(&jobs).await.expect("enqueue");
        let hints: Vec<Hint> = answers.iter().map(|answer| Hint { id: answer.id, line_at: answer.line_at }).collect();
        self.handoff.push(&queue(), &hints).await.expect("push");
        answers.into_iter().map(|answer| answer.id).collect()
    }

    /// Takes up to `limit` hints and claims their jobs, as a worker does.
    pub(crate) async fn take(&self, worker: WorkerId, limit: u32) -> Vec<ClaimedJob> {
        let taken = self.handoff.take(&queue(), &[], &[], limit, HANDOFF_LEASE).await.expect("take");
        if taken.ids.is_empty() {
            return Vec::new();
        }
        let claimed =
            self.store.claim(worker, &queue(), &taken.ids, &Kinds::All, LEASE).await.expect("claim in PostgreSQL");
        let ids: Vec<JobId> = claimed.iter().map(|job| job.fence.id).collect();
        self.handoff.renew(&[(queue(), ids.clone())], LEASE).await.expect("renew in Redis");
        let refused: Vec<JobId> = taken.ids.into_iter().filter(|id| !ids.contains(id)).collect();
        self.handoff.ack(&[(queue(), refused)]).await.expect("forgetting the refused hints");
        claimed
    }

    /// Completes runs in PostgreSQL only.
    pub(crate) async fn settle(&self, worker: WorkerId, jobs: &[ClaimedJob]) {
        let runs: Vec<FinishedRun> =
            jobs.iter().map(|job| FinishedRun { fence: job.fence, settle: Settle::Complete(None) }).collect();
        self.store.settle(worker, &runs).await.expect("settle");
    }

    /// Takes, claims and completes up to `limit` jobs. Returns their number.
    pub(crate) async fn work(&self, worker: WorkerId, limit: u32) -> usize {
        let jobs = self.take(worker, limit).await;
        self.settle(worker, &jobs).await;
        self.handoff.ack(&[(queue(), jobs.iter().map(|job| job.fence.id).collect())]).await.expect("ack");
        jobs.len()
    }

    pub(crate) async fn state(&self, id: JobId) -> State {
        self.store.job(id).await.expect("job").expect("the job exists").state
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.handoff.snapshot(&queue()).await.expect("snapshot")
    }

    pub(crate) async fn head(&self) -> HeadStats {
        self.handoff.stats(&queue()).await.expect("stats")
    }

    /// A key of the queue.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("leasehold:{{default}}:{name}")
    }

    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        self.stores.redis.connect().await
    }

    /// Sends a command that no part of the program would send.
    pub(crate) async fn by_hand(&self, name: &str, arguments: &[String]) {
        let mut connection = self.redis().await;
        let answer = redis::cmd(name).arg(arguments).query_async::<redis::Value>(&mut connection).await;
        answer.unwrap_or_else(|error| panic!("{name} {arguments:?}: {error}"));
    }

    /// Runs statements of a test.
    pub(crate) async fn sql(&self, script: impl Into<String>) {
        let script: String = script.into();
        let done = self.store.pool().execute(AssertSqlSafe(script.clone())).await;
        done.unwrap_or_else(|error| panic!("{script}: {error}"));
    }

    pub(crate) async fn number(&self, query: impl Into<String>) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.into())).fetch_one(self.store.pool()).await.expect("a number")
    }

    /// Sets the end of all leases in PostgreSQL to a second ago.
    pub(crate) async fn let_leases_lapse(&self) {
        self.sql("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 second' WHERE state = 'running'")
            .await;
    }

    /// Sets the end of all leases in Redis to a time long ago.
    pub(crate) async fn let_hints_lapse(&self) {
        for (id, held) in self.snapshot().await.held {
            if matches!(held, leasehold_handoff::Held::Leased { .. }) {
                self.by_hand("ZADD", &[self.key("leases"), "1".to_owned(), id.to_string()]).await;
            }
        }
    }
}
