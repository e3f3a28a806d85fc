//! Leases are renewed during a run, and a handler learns when it should stop.

use crate::fixture::{Fixture, SOON, handlers, job, settings, succeeded};
use leasehold_core::{JobId, Outcome, QueueName, State};
use leasehold_handoff::Notice;
use leasehold_tests::eventually;
use leasehold_worker::{Handlers, Settings, StopReason};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Handlers that wait until they are told to stop, report that, and return the requested outcome.
fn listeners(outcome: fn() -> Outcome) -> (Handlers, mpsc::UnboundedReceiver<(JobId, StopReason)>) {
    let (told, hears) = mpsc::unbounded_channel();
    let handlers = handlers("k", move |run| {
        let told = told.clone();
        async move {
            let reason = run.cancelled().await;
            told.send((run.fence().id, reason)).expect("the test listens");
            outcome()
        }
    });
    (handlers, hears)
}

async fn told(hears: &mut mpsc::UnboundedReceiver<(JobId, StopReason)>) -> (JobId, StopReason) {
    tokio::time::timeout(SOON, hears.recv()).await.expect("the handler is told in time").expect("the worker is up")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_handler_at_once() {
    let fixture = Fixture::start().await;
    let (handlers, mut hears) = listeners(|| Outcome::Failed("stopped".to_owned()));
    let worker = fixture.worker(settings(1), handlers).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    let start = Instant::now();
    let cancelled = fixture.store.cancel(&[id]).await.expect("cancelling");
    let (owner, epoch) = cancelled[0].running.expect("it is running");
    fixture.handoff.notify(&[Notice::Cancel { id, epoch, worker: owner }]).await.expect("telling");
    assert_eq!(told(&mut hears).await, (id, StopReason::Cancelled));
    let heard = start.elapsed();
    // Without the notice the handler would learn this at the next renewal, after 10 s.
    assert!(heard < Duration::from_secs(5), "heard after {heard:?}");
    fixture.until(id, State::Cancelled).await;
    fixture.until_redis_is_empty(&QueueName::default()).await;
    assert_eq!(worker.stop().await.cancelled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_without_a_notice_reaches_the_handler_at_the_next_renewal() {
    let fixture = Fixture::start().await;
    let (handlers, mut hears) = listeners(|| Outcome::Failed("stopped".to_owned()));
    let _worker = fixture.worker(Settings { lease: Duration::from_millis(900), ..settings(1) }, handlers).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    fixture.sql("SELECT leasehold.cancel($1)", id).await;
    assert_eq!(told(&mut hears).await, (id, StopReason::Cancelled));
    fixture.until(id, State::Cancelled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_wins_over_a_failure_at_the_same_time() {
    let fixture = Fixture::start().await;
    let store = fixture.store.clone();
    // The cancel is requested and no notice is sent: the worker learns of the cancel from the answer to its retry.
    let fails = handlers("k", move |run| {
        let store = store.clone();
        async move {
            store.cancel(&[run.fence().id]).await.expect("cancelling");
            Outcome::Failed("too bad".to_owned())
        }
    });
    let worker = fixture.worker(settings(1), fails).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Cancelled).await;
    let tally = worker.stop().await;
    assert_eq!((tally.cancelled, tally.retried), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_told_that_its_lease_is_lost_and_its_result_is_refused() {
    let fixture = Fixture::start().await;
    let (handlers, mut hears) = listeners(succeeded);
    let worker = fixture.worker(Settings { lease: Duration::from_millis(900), ..settings(1) }, handlers).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    expire(&fixture, id).await;
    assert_eq!(told(&mut hears).await, (id, StopReason::LeaseLost));
    let tally = worker.stop().await;
    assert_eq!((tally.leases_lost, tally.stale_writes_refused, tally.succeeded), (1, 1, 0));
    let job = fixture.job(id).await;
    assert_eq!((job.state, job.crashes), (State::Queued, 1), "the late result was not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_refuses_a_result_that_comes_before_the_handler_is_told() {
    let fixture = Fixture::start().await;
    let (go, gate) = tokio::sync::watch::channel(false);
    let waits = handlers("k", move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test opens the gate");
            succeeded()
        }
    });
    let worker = fixture.worker(settings(1), waits).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    expire(&fixture, id).await;
    go.send(true).expect("the handler waits");
    let tally = worker.stop().await;
    assert_eq!((tally.leases_lost, tally.stale_writes_refused, tally.succeeded), (1, 1, 0));
    assert_eq!(fixture.job(id).await.state, State::Queued);
}

/// The lease runs out by the database's clock, and the step of the reaper finds the lease.
async fn expire(fixture: &Fixture, id: JobId) {
    eventually("the lease is expired", SOON, || async {
        fixture.sql("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 s' WHERE id = $1", id).await;
        let expired = fixture.store.expire(10, None).await.expect("expiring");
        if expired.iter().any(|lost| lost.id == id) { Ok(()) } else { Err(expired) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_take_longer_than_its_lease() {
    let fixture = Fixture::start().await;
    // Long enough for a busy machine to renew in time, and half as long as a run.
    let lease = Duration::from_secs(3);
    let _reaper = fixture.reaper(lease);
    let slow = handlers("k", |_| async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        succeeded()
    });
    let worker = fixture.worker(Settings { lease, ..settings(8) }, slow).await;
    let ids = fixture.enqueue(&crate::fixture::jobs("k", 8)).await;
    for id in ids {
        let job = fixture.until(id, State::Succeeded).await;
        assert_eq!((job.epoch, job.crashes), (1, 0));
    }
    let tally = worker.stop().await;
    assert_eq!((tally.claimed, tally.leases_lost), (8, 0));
}
