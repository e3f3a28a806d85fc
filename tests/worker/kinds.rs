//! Kinds without a handler wait for a worker that has one, cost nothing, and reach that worker fast.

use crate::fixture::{Fixture, HEAD_MAX, SOON, handlers, job, jobs, settings, succeeded};
use leasehold_core::{QueueName, State};
use leasehold_tests::eventually;
use leasehold_worker::Handlers;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_kind_gets_to_the_worker_that_serves_it() {
    let fixture = Fixture::start().await;
    let mine = fixture.worker(settings(4), handlers("mine", |_| async { succeeded() })).await;
    let id = fixture.enqueue_one(job("other")).await;
    eventually("the hint is set aside", SOON, || async {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
        if head.aside == 1 { Ok(()) } else { Err(head) }
    })
    .await;
    let waiting = fixture.job(id).await;
    assert_eq!((waiting.state, waiting.attempt, waiting.epoch), (State::Queued, 0, 0), "it spends nothing");

    // A worker that starts later finds the hint immediately.
    let other = fixture.worker(settings(4), handlers("other", |_| async { succeeded() })).await;
    fixture.until(id, State::Succeeded).await;

    // A worker that waits in a take gets a notice.
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let start = Instant::now();
        let id = fixture.enqueue_one(job("other")).await;
        fixture.until(id, State::Succeeded).await;
        slowest = slowest.max(start.elapsed());
    }
    // A take that is not woken ends by itself after 5 s.
    assert!(slowest < Duration::from_secs(4), "the slowest took {slowest:?}");
    fixture.until_redis_is_empty(&QueueName::default()).await;
    assert_eq!(mine.stop().await.claimed, 0);
    assert_eq!(other.stop().await.succeeded, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_every_kind_takes_hints_that_others_set_aside() {
    let fixture = Fixture::start().await;
    let _mine = fixture.worker(settings(4), handlers("mine", |_| async { succeeded() })).await;
    let ids = fixture.enqueue(&jobs("other", 5)).await;
    eventually("the hints are set aside", SOON, || async {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
        if head.aside == 5 { Ok(()) } else { Err(head) }
    })
    .await;
    let mut any = Handlers::new();
    any.insert_any(crate::fixture::handler(|_| async { succeeded() }));
    let _any = fixture.worker(settings(2), any).await;
    for id in ids {
        fixture.until(id, State::Succeeded).await;
    }
    let id = fixture.enqueue_one(job("third")).await;
    fixture.until(id, State::Succeeded).await;
}

/// Hints that were set aside have been taken before, so they mostly come before those in the head. A worker that starts must not
/// begin with the head.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_every_kind_begins_with_what_comes_first_in_the_line() {
    let fixture = Fixture::start().await;
    let mine = fixture.worker(settings(4), handlers("mine", |_| async { succeeded() })).await;
    let first = fixture.enqueue(&jobs("other", 2)).await;
    eventually("the hints are set aside", SOON, || async {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
        if head.aside == 2 { Ok(()) } else { Err(head) }
    })
    .await;
    mine.stop().await;
    let later = fixture.enqueue(&jobs("third", 2)).await;

    let (began, mut order) = mpsc::unbounded_channel();
    let mut any = Handlers::new();
    any.insert_any(crate::fixture::handler(move |run| {
        began.send(run.job().fence.id).expect("the test listens");
        async { succeeded() }
    }));
    let _any = fixture.worker(settings(1), any).await;
    // Jobs of one enqueue have the same position, and may begin in either order.
    for mut expected in [first, later] {
        let mut ids = [order.recv().await.expect("a job"), order.recv().await.expect("a job")];
        ids.sort();
        expected.sort();
        assert_eq!(ids[..], expected[..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_no_worker_serves_cause_no_busy_loop() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let worker = fixture.worker(settings(4), handlers("mine", |_| async { succeeded() })).await;
    // More hints than the head and the aside list can hold.
    let unserved = fixture.enqueue(&jobs("unserved", 3 * HEAD_MAX as usize)).await;
    // Jobs of a served kind are not delayed behind these hints.
    let mine = fixture.enqueue(&jobs("mine", 20)).await;
    for id in mine {
        fixture.until(id, State::Succeeded).await;
    }
    eventually("the head is sorted out", SOON, || async {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
        if head.ready + head.leased + head.claimed == 0 { Ok(()) } else { Err(head) }
    })
    .await;
    assert_eq!(worker.stop().await.claimed, 20);

    // This test measures a rate, so real time must pass here.
    let worker = fixture.worker(settings(4), handlers("mine", |_| async { succeeded() })).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tally = worker.stop().await;
    assert!(tally.hints_refused < 5, "{} hints were claimed in vain in two seconds", tally.hints_refused);
    assert_eq!(fixture.job(unserved[0]).await.state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_runs_nothing_until_it_is_resumed() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let queue = QueueName::default();
    let worker = fixture.worker(settings(4), handlers("k", |_| async { succeeded() })).await;
    let first = fixture.enqueue_one(job("k")).await;
    fixture.until(first, State::Succeeded).await;
    // Only PostgreSQL knows about the pause. A hint still gets through; it is refused and deleted.
    fixture.store.pause(&queue).await.expect("pausing");
    let id = fixture.enqueue_one(job("k")).await;
    eventually("the hint is deleted", SOON, || async {
        let head = fixture.handoff.stats(&queue).await.expect("the head's counts");
        if head.ready + head.leased + head.claimed == 0 { Ok(()) } else { Err(head) }
    })
    .await;
    assert_eq!(fixture.job(id).await.state, State::Queued);
    fixture.store.resume(&queue).await.expect("resuming");
    fixture.handoff.resume(&queue).await.expect("resuming");
    fixture.until(id, State::Succeeded).await;
    assert_eq!(worker.stop().await.claimed, 2);
}

/// A worker of one kind finds its job, whatever jobs stand before it and whichever worker serves them.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_behind_many_jobs_of_another_kind_begins_within_a_second() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let mine = fixture.worker(settings(10), handlers("mine", |_| async { succeeded() })).await;
    let slow = handlers("other", |run| async move {
        // Runs until the end of the test.
        let _ = run.cancelled().await;
        succeeded()
    });
    let mut few = settings(2);
    few.grace = Duration::ZERO;
    let other = fixture.worker(few, slow).await;
    // More hints than the head and the aside list can hold.
    fixture.enqueue(&jobs("other", 20 * HEAD_MAX as usize)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..15 {
        let start = Instant::now();
        let id = fixture.enqueue_one(job("mine")).await;
        fixture.until(id, State::Succeeded).await;
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "the slowest took {slowest:?}");
    assert_eq!(mine.stop().await.claimed, 15);
    assert_eq!(other.stop().await.claimed, 2);
}
