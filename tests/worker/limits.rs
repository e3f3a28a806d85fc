//! Jobs with limit keys in a running fleet: never more than the limit, the next one soon after a run has ended, and other jobs are
//! not held up.

use crate::fixture::{Fixture, SOON, job, kind, settings};
use leasehold_core::{JobId, NewJob, Outcome, QueueName, State};
use leasehold_store::KeyLimit;
use leasehold_tests::eventually;
use leasehold_worker::{Handler, Handlers, Run};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// Counts how many jobs with limit keys run at the same time.
#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    most: AtomicUsize,
    takes: Duration,
}

impl Handler for Counts {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            if run.job().kind == kind("limited") {
                self.most.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(self.takes).await;
                self.running.fetch_sub(1, SeqCst);
            }
            Outcome::Succeeded(None)
        })
    }
}

fn handlers(counts: &Arc<Counts>) -> Handlers {
    let mut handlers = Handlers::new();
    for name in ["limited", "plain"] {
        handlers.insert(kind(name), Arc::<Counts>::clone(counts));
    }
    handlers
}

fn limited(key: &str) -> NewJob {
    NewJob { limit_keys: vec![key.to_owned()], ..job("limited") }
}

impl Fixture {
    async fn limit(&self, key: &str, running: i32) {
        let limit = KeyLimit { running: Some(running), ..KeyLimit::default() };
        self.store.set_limit(key, &limit).await.expect("set");
    }

    async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.store.pool()).await.expect("a number")
    }

    async fn until_all_have_ended(&self) {
        eventually("all jobs have ended", SOON, || async {
            let live = self.number("SELECT count(*) FROM leasehold.job").await;
            if live == 0 { Ok(()) } else { Err(live) }
        })
        .await;
    }
}

/// Two workers with many slots. Each end of a run brings the next job: the gap between two runs of the key is short, although the
/// reaper, which would bring them too, is slow.
#[tokio::test]
async fn the_next_job_of_a_full_key_begins_soon_after_a_run_has_ended() {
    let fixture = Fixture::start().await;
    fixture.limit("k", 1).await;
    let counts = Arc::new(Counts { takes: Duration::from_millis(20), ..Counts::default() });
    let workers =
        [fixture.worker(settings(8), handlers(&counts)).await, fixture.worker(settings(8), handlers(&counts)).await];
    let jobs: Vec<NewJob> = (0..40).map(|_| limited("k")).collect();
    fixture.enqueue(&jobs).await;
    // No reaper runs: what follows is the work of the workers alone.
    fixture.until_all_have_ended().await;
    assert_eq!(counts.most.load(SeqCst), 1);
    let gap_us = fixture
        .number(
            "SELECT (percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) * 1000000)::bigint
             FROM (SELECT extract(epoch FROM started_at - lag(finished_at) OVER (ORDER BY finished_at)) AS gap
                   FROM leasehold.history) g",
        )
        .await;
    println!("from the end of a run to the start of the next one: {gap_us} µs (median)");
    assert!(gap_us < 50_000, "{gap_us} µs; a reaper would need 250,000");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_full_key_does_not_hold_up_other_jobs() {
    let fixture = Fixture::start().await;
    fixture.limit("k", 1).await;
    let counts = Arc::new(Counts { takes: Duration::from_secs(3600), ..Counts::default() });
    let worker = fixture.worker(settings(4), handlers(&counts)).await;
    let many: Vec<NewJob> = (0..2000).map(|_| limited("k")).collect();
    fixture.enqueue(&many).await;
    let ids = fixture.enqueue(&[job("plain"), job("plain")]).await;
    for id in ids {
        fixture.until(id, State::Succeeded).await;
    }
    let running = fixture.number("SELECT count(*) FROM leasehold.job WHERE state = 'running'").await;
    assert!(running <= 1 && counts.most.load(SeqCst) <= 1);
    worker.stop_now.cancel();
}

/// Jobs that plain SQL has enqueued, a limit that is raised, and Redis that is emptied: the reaper brings the jobs.
#[tokio::test]
async fn a_reaper_brings_the_jobs_that_nobody_else_brings() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    fixture.limit("k", 0).await;
    let counts = Arc::new(Counts { takes: Duration::from_millis(1), ..Counts::default() });
    let worker = fixture.worker(settings(4), handlers(&counts)).await;
    let ids: Vec<JobId> = {
        let jobs: Vec<NewJob> = (0..20).map(|_| limited("k")).collect();
        fixture.store.enqueue(&jobs).await.expect("enqueue");
        jobs.into_iter().map(|job| job.id).collect()
    };
    sqlx::query("SELECT leasehold.set_limit('k', 2)").execute(fixture.store.pool()).await.expect("set");
    fixture.until(ids[3], State::Succeeded).await;
    let mut redis = fixture.stores.redis.connect().await;
    redis::cmd("FLUSHDB").exec_async(&mut redis).await.expect("FLUSHDB");
    fixture.until_all_have_ended().await;
    assert!(counts.most.load(SeqCst) <= 2);
    fixture.until_redis_is_empty(&QueueName::default()).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_rate_is_kept_over_a_window() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let rate = KeyLimit { rate: Some("20/s".into()), burst: Some(2), running: None };
    fixture.store.set_limit("k", &rate).await.expect("set");
    let counts = Arc::new(Counts::default());
    let worker = fixture.worker(settings(8), handlers(&counts)).await;
    let jobs: Vec<NewJob> = (0..42).map(|_| limited("k")).collect();
    fixture.enqueue(&jobs).await;
    fixture.until_all_have_ended().await;
    // In each window from one start to a later one: the burst, and what the rate gives in that time.
    let worst = fixture
        .number(
            "SELECT max(n - floor(span * 20))::bigint FROM (
                SELECT extract(epoch FROM b.started_at - a.started_at) AS span,
                       (SELECT count(*) FROM leasehold.history h WHERE h.started_at BETWEEN a.started_at AND b.started_at) AS n
                FROM leasehold.history a JOIN leasehold.history b ON b.started_at >= a.started_at) w",
        )
        .await;
    let took_ms = fixture
        .number("SELECT (extract(epoch FROM max(started_at) - min(started_at)) * 1000)::bigint FROM leasehold.history")
        .await;
    println!("42 jobs at 20/s with a burst of 2 took {took_ms} ms");
    // The start is the time of the statement, which the lock of the key may delay a little.
    assert!(worst <= 2 + 2, "{worst} starts more than the rate gives in some window");
    assert!((1_850..6_000).contains(&took_ms), "{took_ms} ms; 2 s are ideal");
    worker.stop().await;
}
