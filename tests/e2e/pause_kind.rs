//! A kind is paused while a fleet runs its jobs: no job of this kind starts any more, jobs of other kinds continue, and after a
//! resume jobs of this kind start immediately.

use crate::fleet::{Fleet, TIMEOUT};
use chrono::Utc;
use leasehold::{Job as _, Kind, NewJob, QueueName, State};
use leasehold_tests::{Probe, Step, eventually, read_log};
use std::time::Duration;

/// No job starts later than this after the answer to a pause, and the first job starts within this time after a resume.
const AT_ONCE_MS: i64 = 100;
const ROUNDS: usize = 5;
/// More than the fleet can run within the rounds, and more than a head of this fleet holds.
const JOBS: usize = 12_000;
/// Jobs of the other kind, behind all of them in the line.
const OTHERS: usize = 20;
const OTHER: &str = "other";

fn probes(fleet: &Fleet) -> Vec<NewJob> {
    (0..JOBS).map(|_| fleet.client.enqueue(fleet.probe(20)).build().expect("a job")).collect()
}

fn others() -> Vec<NewJob> {
    (0..OTHERS).map(|_| NewJob::new(OTHER.parse().expect("a kind"), json())).collect()
}

fn json() -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string("null".to_owned()).expect("JSON")
}

fn started(fleet: &Fleet) -> Vec<i64> {
    read_log(&fleet.log()).into_iter().filter(|line| line.step == Step::Start).map(|line| line.at_ms).collect()
}

/// Waits until more probes than this have started. Returns when the next one of them started.
async fn next_start(fleet: &Fleet, before: usize) -> i64 {
    eventually("a job of the kind starts", TIMEOUT, || async {
        let started = started(fleet);
        if started.len() > before {
            Ok(started[before..].iter().min().copied().unwrap_or_default())
        } else {
            Err(started.len())
        }
    })
    .await
}

/// Pauses the kind, and proves that none of its jobs starts while jobs of the other kind run. Returns how many have started.
async fn pause(fleet: &Fleet, queue: &QueueName, kind: &Kind) -> usize {
    assert!(fleet.client.pause_kind(queue, kind).await.expect("pausing"));
    let answered = Utc::now().timestamp_millis();
    let others = others();
    fleet.client.enqueue_many(&others).await.expect("enqueueing");
    let store = leasehold::Client::store(&fleet.client);
    let ids: Vec<_> = others.iter().map(|job| job.id).collect();
    eventually("the jobs of the other kind have run", TIMEOUT, || async {
        let finished = store.finished(&ids).await.expect("reading");
        let succeeded = finished.iter().filter(|job| job.state == State::Succeeded).count();
        if succeeded == OTHERS { Ok(()) } else { Err(succeeded) }
    })
    .await;
    let started = started(fleet);
    let late = started.iter().map(|at| at - answered).max().unwrap_or_default();
    assert!(late <= AT_ONCE_MS, "a job started {late} ms after the answer to the pause");
    started.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_kind_starts_nothing_and_a_resumed_one_starts_at_once() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    fleet.start_probe_workers(2, 10).await;
    fleet.start_leasehold(&["worker", "--queue", "default=4", "--exec", "other=true"], None);
    fleet.until_all_are_registered().await;
    let (queue, kind): (QueueName, Kind) = (QueueName::default(), Probe::KIND.parse().expect("a kind"));
    for batch in probes(&fleet).chunks(1_000) {
        fleet.client.enqueue_many(batch).await.expect("enqueueing");
    }
    let mut delays = Vec::new();
    let mut before = 0;
    for _ in 0..ROUNDS {
        next_start(&fleet, before).await;
        before = pause(&fleet, &queue, &kind).await;
        assert!(fleet.client.resume_kind(&queue, &kind).await.expect("resuming"));
        let answered = Utc::now().timestamp_millis();
        delays.push(next_start(&fleet, before).await - answered);
    }
    delays.sort_unstable();
    println!("from the answer to a resume to the first start: {delays:?} ms");
    // Other tests may hold up one round.
    assert!(delays[ROUNDS / 2] <= AT_ONCE_MS, "{delays:?} ms");
    let left = "SELECT count(*) FROM leasehold.job";
    let left = fleet.count(&mut fleet.stores.database.connect().await, left).await;
    assert!(left > 0, "the line must be long enough for all rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_is_paused_without_redis_too() {
    let mut fleet = Fleet::start_without_redis(Duration::from_secs(30)).await;
    fleet.start_probe_worker(10, None);
    fleet.start_leasehold(&["worker", "--queue", "default=4", "--exec", "other=true"], None);
    let (queue, kind): (QueueName, Kind) = (QueueName::default(), Probe::KIND.parse().expect("a kind"));
    for batch in probes(&fleet).chunks(1_000) {
        fleet.client.enqueue_many(batch).await.expect("enqueueing");
    }
    next_start(&fleet, 0).await;
    let before = pause(&fleet, &queue, &kind).await;
    assert!(fleet.client.resume_kind(&queue, &kind).await.expect("resuming"));
    next_start(&fleet, before).await;
}
