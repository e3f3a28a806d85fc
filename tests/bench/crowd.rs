//! Many clients of one `leasehold api`: some wait for jobs all the time, others enqueue one job each second. Every job must come
//! through, and no request may fail.

use crate::{
    arguments::Http,
    http::quantiles,
    http_client::{Client, Server},
    lab::Lab,
};
use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use leasehold_bench::{cpu_s, memory_now_bytes, memory_peak_bytes};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const QUEUE: &str = "crowd";
/// Connections that are made at the same time.
const CONNECTING: usize = 64;
/// How long a claim waits: some claims end without a job and begin again, like the claims of real workers.
const WAIT_MS: u64 = 20_000;
/// The time between two jobs of a client that enqueues.
const PACE: Duration = Duration::from_secs(1);
/// How long all claims may take to wait, and the last jobs after the last enqueue.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
const CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leasehold api'";

/// What all clients report.
#[derive(Default)]
struct Told {
    enqueued: AtomicU64,
    settled: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    enqueues_ms: Mutex<Vec<f64>>,
    hand_overs_ms: Mutex<Vec<f64>>,
}

impl Told {
    fn failed(&self, error: &anyhow::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{error:#}"));
    }
}

fn add(values: &Mutex<Vec<f64>>, value: f64) {
    values.lock().unwrap_or_else(PoisonError::into_inner).push(value);
}

pub(crate) async fn run(lab: &Lab, server: &Server, size: &Http) -> Result<Value> {
    let told = Arc::new(Told::default());
    let before_bytes = memory_now_bytes(server.pid());
    let connect = |count: usize| {
        stream::iter(0..count).map(|_| server.client()).buffer_unordered(CONNECTING).try_collect::<Vec<Client>>()
    };
    let (waiting, enqueuing) = (connect(size.waiting).await?, connect(size.enqueuing).await?);
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for client in waiting {
        workers.spawn(works(client, told.clone(), begun));
    }
    // Only then the load begins.
    let mut asks = server.client().await?;
    while asks.sample("leasehold_claims_waiting").await? < size.waiting as f64 {
        ensure!(begun.elapsed() < DRAIN_WITHIN, "not all claims wait: {:?}", told.first_error);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (cpu_before, from) = (cpu_s(server.pid()), Instant::now());
    let until = from + Duration::from_secs(size.seconds);
    let mut clients = JoinSet::new();
    for (nth, client) in enqueuing.into_iter().enumerate() {
        let first = from + PACE.mul_f64(nth as f64 / size.enqueuing as f64);
        clients.spawn(enqueues(client, told.clone(), begun, first, until));
    }
    let mut postgres = lab.servers.connect().await?;
    let mut connections = 0;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now: i64 = sqlx::query_scalar(CONNECTIONS).fetch_one(&mut postgres).await?;
        connections = connections.max(now);
    }
    while clients.join_next().await.is_some() {}
    let spent = cpu_s(server.pid()).zip(cpu_before).map(|(now, before)| now - before);
    let seconds = from.elapsed().as_secs_f64();
    let settled = || told.settled.load(Ordering::Relaxed);
    let enqueued = told.enqueued.load(Ordering::Relaxed);
    let drained = Instant::now();
    while settled() < enqueued && drained.elapsed() < DRAIN_WITHIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    workers.shutdown().await;
    let of = |values: &Mutex<Vec<f64>>| quantiles(values.lock().unwrap_or_else(PoisonError::into_inner).clone());
    Ok(json!({
        "waiting": size.waiting,
        "enqueuing": size.enqueuing,
        "seconds": seconds,
        "jobs": enqueued,
        "jobs_per_s": enqueued as f64 / seconds,
        "lost": enqueued.saturating_sub(settled()),
        "errors": told.errors.load(Ordering::Relaxed),
        "first_error": told.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        "enqueue": of(&told.enqueues_ms),
        "hand_over": of(&told.hand_overs_ms),
        "memory_before_bytes": before_bytes,
        "memory_peak_bytes": memory_peak_bytes(server.pid()),
        "server_cpu_percent": spent.map(|spent| spent / seconds * 100.0),
        "postgres_connections": connections,
    }))
}

/// Enqueues a job each second. The payload is the time of the call, in µs since the beginning.
async fn enqueues(mut client: Client, told: Arc<Told>, begun: Instant, first: Instant, until: Instant) {
    let mut next = first;
    while next < until {
        tokio::time::sleep_until(next.into()).await;
        next += PACE;
        let from = begun.elapsed();
        let job = json!({ "kind": "noop", "queue": QUEUE, "payload": from.as_micros() as u64 });
        match client.post("/v1/jobs", &job).await {
            Ok(_) => {
                told.enqueued.fetch_add(1, Ordering::Relaxed);
                add(&told.enqueues_ms, (begun.elapsed() - from).as_secs_f64() * 1e3);
            }
            Err(error) => return told.failed(&error),
        }
    }
}

/// Claims and settles one job after the other.
async fn works(mut client: Client, told: Arc<Told>, begun: Instant) {
    loop {
        let jobs = match client.claim(QUEUE, 1, WAIT_MS).await {
            Ok(jobs) => jobs,
            Err(error) => return told.failed(&error),
        };
        let Some(sent_us) = jobs.first().map(|job| job["payload"].as_u64().unwrap_or_default()) else { continue };
        add(&told.hand_overs_ms, begun.elapsed().as_secs_f64() * 1e3 - sent_us as f64 / 1e3);
        match client.settle(&jobs).await {
            Ok(()) => told.settled.fetch_add(1, Ordering::Relaxed),
            Err(error) => return told.failed(&error),
        };
    }
}
