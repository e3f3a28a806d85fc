//! Rates of limit keys with a burst of one start: a fleet uses nearly each token at its moment, and none before it.
//!
//! `LEASEHOLD_RATES=10` measures all rates, each for ten seconds, and prints a table: see `every_rate_is_reached`.

use crate::fixture::{Fixture, job, kind, settings};
use leasehold_core::{NewJob, Outcome, QueueName, State};
use leasehold_reaper::Reaper;
use leasehold_store::KeyLimit;
use leasehold_tests::eventually;
use leasehold_worker::{Handler, Handlers, Run};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Notes when each handler begins.
#[derive(Default)]
struct Begins {
    at: Mutex<Vec<SystemTime>>,
    takes: Duration,
}

impl Handler for Begins {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            if run.job().kind == kind("limited") {
                self.at.lock().expect("a lock").push(SystemTime::now());
                tokio::time::sleep(self.takes).await;
            }
            Outcome::Succeeded(None)
        })
    }
}

fn handlers(begins: &Arc<Begins>) -> Handlers {
    let mut handlers = Handlers::new();
    for name in ["limited", "plain"] {
        handlers.insert(kind(name), Arc::<Begins>::clone(begins));
    }
    handlers
}

fn keyed(key: &str) -> NewJob {
    NewJob { limit_keys: vec![key.to_owned()], ..job("limited") }
}

/// A reaper with the tick of a real one.
fn reaper(fixture: &Fixture) -> DropGuard {
    let settings = leasehold_reaper::Settings {
        tick: Duration::from_millis(250),
        head_max: 1000,
        handoff_lease: Duration::from_secs(5),
        lease: Duration::from_secs(30),
        keep_finished: Duration::from_secs(3600),
    };
    let stop = CancellationToken::new();
    tokio::spawn(Reaper::new(fixture.store.clone(), fixture.handoff.clone(), settings).run(stop.clone()));
    stop.drop_guard()
}

#[derive(Clone, Copy, Debug)]
struct Case {
    per_second: u32,
    workers: usize,
    with_redis: bool,
    takes: Duration,
}

/// What a fleet made of a rate.
struct Reached {
    /// How much of the rate was used.
    share: f64,
    /// The most starts in any window, less what the rate gives in its time. The burst is allowed.
    most: i64,
    /// By how much handlers began before the starts that are written, in ms; negative: after them.
    early_ms: f64,
}

impl Fixture {
    async fn rate(&self, key: &str, rate: &str) {
        let limit = KeyLimit { rate: Some(rate.into()), burst: Some(1), running: None };
        self.store.set_limit(key, &limit).await.expect("set");
    }

    /// Enqueues in one go. Pushes the hints if there is a Redis to have them.
    async fn enqueue_all(&self, jobs: &[NewJob], with_redis: bool) {
        if with_redis {
            self.enqueue(jobs).await;
        } else {
            self.store.enqueue(jobs).await.expect("enqueue");
        }
    }

    /// The moments of the starts, in µs, in order.
    async fn starts(&self) -> Vec<i64> {
        sqlx::query_scalar(
            "SELECT (extract(epoch FROM started_at) * 1000000)::bigint FROM leasehold.jobs
             WHERE kind = 'limited' AND started_at IS NOT NULL ORDER BY 1",
        )
        .fetch_all(self.store.pool())
        .await
        .expect("starts")
    }
}

async fn reach(case: Case, seconds: u32) -> Reached {
    let fixture = Fixture::start().await;
    fixture.rate("k", &format!("{}/s", case.per_second)).await;
    let _reaper = reaper(&fixture);
    let begins = Arc::new(Begins { takes: case.takes, ..Begins::default() });
    let mut workers = Vec::new();
    for _ in 0..case.workers {
        workers.push(fixture.worker(settings(8), handlers(&begins)).await);
    }
    if !case.with_redis {
        fixture.stores.redis.server().kill();
    }
    let wanted = (case.per_second * seconds) as usize;
    let jobs: Vec<NewJob> = (0..wanted + case.per_second as usize).map(|_| keyed("k")).collect();
    fixture.enqueue_all(&jobs, case.with_redis).await;
    let most = Duration::from_secs(u64::from(seconds) * 20 + 20);
    let starts = eventually("so many jobs have begun", most, || async {
        let starts = fixture.starts().await;
        if starts.len() > wanted { Ok(starts) } else { Err(starts.len()) }
    })
    .await;
    for worker in workers {
        worker.stop_now.cancel();
    }
    let took_us = starts[wanted] - starts[0];
    // In whole steps of the rate: a window may begin at any start.
    let rate = i64::from(case.per_second);
    let most = (0..starts.len())
        .flat_map(|a| (a..starts.len()).map(move |b| (a, b)))
        .map(|(a, b)| (b - a + 1) as i64 - (starts[b] - starts[a]) * rate / 1_000_000)
        .max()
        .expect("a start");
    let mut began: Vec<i64> = begins.at.lock().expect("a lock").iter().map(|at| micros(*at)).collect();
    began.sort_unstable();
    let early = began.iter().zip(&starts).map(|(began, written)| written - began).max().unwrap_or_default();
    Reached { share: f64::from(seconds) * 1_000_000.0 / took_us as f64, most, early_ms: early as f64 / 1000.0 }
}

fn micros(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// A machine that does much else reaches less of a rate, so the bound is low. Without hints that come at their moments, it is a third.
async fn is_reached(case: Case) {
    let Reached { share, most, early_ms } = reach(case, 3).await;
    println!(
        "{case:?}: {:.0} % of the rate; at most {most} starts more than a window gives; {early_ms} ms early",
        share * 100.0
    );
    assert!(most <= 1, "{most} starts more than the rate gives in some window");
    assert!(early_ms < 1.0, "a handler began {early_ms} ms before its token");
    assert!(share > 0.6, "{:.0} % of the rate", share * 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaches_a_rate_with_a_burst_of_one() {
    is_reached(Case { per_second: 20, workers: 1, with_redis: true, takes: Duration::ZERO }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_reach_a_rate_without_redis() {
    is_reached(Case { per_second: 20, workers: 2, with_redis: false, takes: Duration::ZERO }).await;
}

/// No end of a run brings the next job: the tokens do.
#[tokio::test(flavor = "multi_thread")]
async fn workers_reach_a_rate_with_long_jobs() {
    is_reached(Case { per_second: 20, workers: 2, with_redis: true, takes: Duration::from_millis(500) }).await;
}

/// For the figures of docs/performance.md: `LEASEHOLD_RATES=SECONDS cargo test … --test worker rates::every -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn every_rate_is_reached() {
    let Some(seconds) = std::env::var("LEASEHOLD_RATES").ok().and_then(|seconds| seconds.parse().ok()) else { return };
    for with_redis in [true, false] {
        for workers in [1, 4] {
            for per_second in [1, 5, 20, 100] {
                let case = Case { per_second, workers, with_redis, takes: Duration::ZERO };
                let Reached { share, most, early_ms } = reach(case, seconds).await;
                println!(
                    "redis {with_redis}, {workers} workers, {per_second}/s: {:.1} %, {most}, {early_ms} ms",
                    share * 100.0
                );
            }
        }
    }
}

/// The first jobs of the line have no token. Jobs of another key and plain jobs still begin, with Redis and without it.
#[tokio::test(flavor = "multi_thread")]
async fn keys_without_tokens_hold_up_no_other_job() {
    for with_redis in [true, false] {
        let fixture = Fixture::start().await;
        // Three jobs each may be in the line before their tokens come.
        for nth in 0..40 {
            let rate = KeyLimit { rate: Some("1/h".into()), burst: Some(1), running: None };
            fixture.store.set_limit(&format!("slow-{nth}"), &rate).await.expect("set");
        }
        let _reaper = reaper(&fixture);
        let begins = Arc::new(Begins::default());
        let worker = fixture.worker(settings(1), handlers(&begins)).await;
        if !with_redis {
            fixture.stores.redis.server().kill();
        }
        let slow: Vec<NewJob> = (0..200).map(|nth| keyed(&format!("slow-{}", nth % 40))).collect();
        fixture.enqueue_all(&slow, with_redis).await;
        let others = [keyed("free"), job("plain")];
        fixture.enqueue_all(&others, with_redis).await;
        for other in &others {
            fixture.until(other.id, State::Succeeded).await;
        }
        eventually("each key has used its token", crate::fixture::SOON, || async {
            let begun = begins.at.lock().expect("a lock").len();
            if begun == 41 { Ok(()) } else { Err(begun) }
        })
        .await;
        if with_redis {
            fixture.until_redis_is_empty(&QueueName::default()).await;
        }
        worker.stop().await;
    }
}

/// For the figures of docs/performance.md: the cost of a reaper for many keys without tokens.
#[tokio::test(flavor = "multi_thread")]
async fn many_keys_without_tokens_cost_little() {
    if std::env::var_os("LEASEHOLD_RATES").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.rate("many-*", "1/h").await;
    let jobs: Vec<NewJob> = (0..10_000).flat_map(|nth| [(); 3].map(|()| keyed(&format!("many-{nth}")))).collect();
    for part in jobs.chunks(1000) {
        fixture.store.enqueue(part).await.expect("enqueue");
    }
    let uses_all = "INSERT INTO leasehold.limit_bucket SELECT 'many-' || n, now() + interval '1 hour' FROM generate_series(0, 9999) n";
    sqlx::query(uses_all).execute(fixture.store.pool()).await.expect("insert");
    sqlx::query("ANALYZE").execute(fixture.store.pool()).await.expect("analyze");
    let begun = std::time::Instant::now();
    let mut after = String::new();
    loop {
        let admitted = fixture.store.admit_next(&after, 100, 1000).await.expect("admit");
        let Some(last) = admitted.last_key else { break };
        after = last;
    }
    println!("a round of 10,000 keys: {:?}", begun.elapsed());
    let seconds = 10;
    let _reaper = reaper(&fixture);
    let before = cpu_of_postgres();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    println!("PostgreSQL used {:.1} % of a core", (cpu_of_postgres() - before) / seconds as f64 * 100.0);
}

/// The seconds of CPU that the sessions of PostgreSQL on this machine have used, which the kernel counts in 1/100 s.
fn cpu_of_postgres() -> f64 {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    let of_postgres = stats.filter(|stat| stat.contains("(postgres)")).map(|stat| {
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        [11, 12]
            .map(|nth| fields.get(nth).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default())
            .iter()
            .sum::<f64>()
    });
    of_postgres.sum::<f64>() / 100.0
}
