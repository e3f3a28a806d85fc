//! The fields of a job that its worker handles: the delays between attempts, the total time for attempts, and a unique key
//! for which only one job runs.

use crate::fixture::{Fixture, SOON, job, kind, settings};
use leasehold_core::{NewJob, Outcome, QueueName, Retry, State, Unique};
use leasehold_tests::eventually;
use leasehold_worker::{Handler, Handlers, Run};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Fails always.
struct Fails;

impl Handler for Fails {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move { Outcome::Failed(format!("attempt {}", run.job().attempt)) })
    }
}

fn failing() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.insert(kind("k"), Arc::new(Fails));
    handlers
}

#[tokio::test]
async fn the_delay_is_the_one_of_the_job() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(1), failing()).await;
    let hour = Duration::from_secs(3600);
    let id = fixture.enqueue_one(NewJob { retry: Some(Retry::fixed(hour)), ..job("k") }).await;
    let record = fixture.until(id, State::Scheduled).await;
    let failed_at = record.trail.last().expect("an entry").at;
    assert_eq!(record.run_at - failed_at, chrono::TimeDelta::hours(1), "no jitter, and not the delay of the worker");
    worker.stop().await;
}

#[tokio::test]
async fn no_attempt_is_scheduled_after_the_time_for_retries() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let worker = fixture.worker(settings(1), failing()).await;
    // Attempts after 0, 1 and 3 s. The fourth one would begin after 6 s.
    let retry = Retry::linear(Duration::from_secs(1)).for_time(Duration::from_secs(5));
    let id = fixture.enqueue_one(NewJob { retry: Some(retry), max_attempts: 100, ..job("k") }).await;
    let record = fixture.until(id, State::Dead).await;
    assert!((2..=3).contains(&record.attempt), "{record:?}");
    let error = record.last_error.expect("a reason");
    let said = [
        "(it is not tried again: the next attempt would begin after its time for retries)",
        "; the last error: attempt",
    ];
    assert!(said.iter().any(|said| error.contains(said)), "{error}");
    let errors: Vec<_> =
        record.trail.iter().filter(|entry| entry.verb == "retry").map(|entry| entry.note.clone()).collect();
    assert_eq!(errors[0].as_deref(), Some("attempt 1"), "the error of each attempt is kept");
    worker.stop().await;
}

/// Runs until the test lets it end. Counts how many run at the same time.
#[derive(Default)]
struct Alone {
    running: AtomicU32,
    most: AtomicU32,
    begun: AtomicU32,
}

struct Gated(Arc<Alone>, Arc<Semaphore>);

impl Handler for Gated {
    fn run(&self, _: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            self.0.begun.fetch_add(1, SeqCst);
            self.0.most.fetch_max(self.0.running.fetch_add(1, SeqCst) + 1, SeqCst);
            if let Ok(permit) = self.1.acquire().await {
                permit.forget();
            }
            self.0.running.fetch_sub(1, SeqCst);
            Outcome::Succeeded(None)
        })
    }
}

#[tokio::test]
async fn of_jobs_that_keep_the_last_one_runs_and_the_next_begins_when_it_has_ended() {
    let fixture = Fixture::start().await;
    let (seen, gate) = (Arc::new(Alone::default()), Arc::new(Semaphore::new(0)));
    let mut handlers = Handlers::new();
    handlers.insert(kind("k"), Arc::new(Gated(Arc::clone(&seen), Arc::clone(&gate))));
    let workers = [fixture.worker(settings(2), handlers.clone()).await, fixture.worker(settings(2), handlers).await];
    let keyed = || NewJob { unique_key: Some("u".to_owned()), unique: Some(Unique::keep_last()), ..job("k") };
    let first = fixture.enqueue_one(keyed()).await;
    fixture.until(first, State::Running).await;
    let second = fixture.enqueue_one(keyed()).await;
    assert_ne!(first, second);
    assert_eq!(fixture.enqueue_one(keyed()).await, second, "one waits at most");
    // A plain job passes the one that waits.
    let plain = fixture.enqueue_one(job("k")).await;
    fixture.until(plain, State::Running).await;
    assert_eq!(fixture.job(second).await.state, State::Queued);
    gate.add_permits(2);
    fixture.until(first, State::Succeeded).await;
    fixture.until(second, State::Running).await;
    gate.add_permits(1);
    fixture.until(second, State::Succeeded).await;
    assert_eq!((seen.begun.load(SeqCst), seen.most.load(SeqCst)), (3, 2), "the plain job and one with the key");
    fixture.until_redis_is_empty(&QueueName::default()).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_expired_job_is_not_run_and_its_hint_is_forgotten() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(1), failing()).await;
    fixture.until_a_worker_blocks_in("blmove").await;
    let expired = NewJob { expires_at: Some(chrono::Utc::now() - chrono::TimeDelta::hours(1)), ..job("k") };
    let id = fixture.enqueue_one(expired).await;
    eventually("its hint is refused", SOON, || async {
        let refused = worker.watch.tally().hints_refused;
        if refused > 0 { Ok(()) } else { Err(refused) }
    })
    .await;
    fixture.until_redis_is_empty(&QueueName::default()).await;
    let record = fixture.job(id).await;
    assert_eq!((record.state, record.epoch), (State::Queued, 0), "no reaper runs here");
    worker.stop().await;
}
