//! A stop costs no job an attempt: jobs that can finish finish, the other jobs are released.

use crate::fixture::{Fixture, SOON, handlers, job, jobs, settings, succeeded};
use leasehold_core::{Outcome, QueueName, State};
use leasehold_tests::eventually;
use leasehold_worker::{Settings, StopReason};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn handlers_finish_within_the_grace() {
    let fixture = Fixture::start().await;
    let (open, gate) = watch::channel(false);
    let waits = handlers("k", move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test opens the gate");
            succeeded()
        }
    });
    let worker = fixture.worker(settings(2), waits).await;
    let ids = fixture.enqueue(&jobs("k", 3)).await;
    fixture.until(ids[0], State::Running).await;
    fixture.until(ids[1], State::Running).await;
    worker.stop.cancel();
    eventually("the worker takes no more jobs", SOON, || async { worker.watch.is_stopping().then_some(()).ok_or(()) })
        .await;
    open.send(true).expect("handlers wait at the gate");
    let tally = worker.ended().await;
    assert_eq!((tally.succeeded, tally.released), (2, 0));
    assert_eq!(fixture.job(ids[2]).await.state, State::Queued, "a stopping worker takes no more");
    let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
    assert_eq!((head.ready, head.claimed, head.leased), (1, 0, 0), "{head:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_do_not_finish_are_released_and_spend_no_attempt() {
    let fixture = Fixture::start().await;
    let listens = handlers("k", |run| async move {
        assert_eq!(run.cancelled().await, StopReason::Stopping);
        Outcome::Failed("interrupted".to_owned())
    });
    let worker = fixture.worker(Settings { grace: Duration::from_millis(100), ..settings(4) }, listens).await;
    let ids = fixture.enqueue(&jobs("k", 4)).await;
    for id in &ids {
        fixture.until(*id, State::Running).await;
    }
    let tally = worker.stop().await;
    assert_eq!((tally.released, tally.retried), (4, 0));
    for id in &ids {
        let job = fixture.job(*id).await;
        assert_eq!((job.state, job.attempt, job.crashes, job.epoch), (State::Queued, 0, 0, 1));
    }
    let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
    assert_eq!((head.ready, head.leased), (4, 0), "{head:?}");
    assert_eq!(fixture.handoff.workers().await.expect("the registry"), [], "the announcement is taken back");

    let next = fixture.worker(settings(4), handlers("k", |_| async { succeeded() })).await;
    for id in &ids {
        let job = fixture.until(*id, State::Succeeded).await;
        assert_eq!((job.attempt, job.epoch), (1, 2));
    }
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_skips_the_grace() {
    let fixture = Fixture::start().await;
    let deaf = handlers("k", |_| std::future::pending());
    let worker = fixture.worker(Settings { grace: Duration::from_secs(600), ..settings(1) }, deaf).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    worker.stop.cancel();
    worker.stop_now.cancel();
    assert_eq!(worker.ended().await.released, 1, "a handler that does not listen is dropped");
    let job = fixture.job(id).await;
    assert_eq!((job.state, job.attempt), (State::Queued, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_hints_stops_at_once() {
    let fixture = Fixture::start().await;
    let queues = (0..5).map(|nth| (format!("q{nth}").parse().expect("a name"), 1)).collect();
    let worker = fixture.worker(Settings { queues, ..settings(0) }, handlers("k", |_| async { succeeded() })).await;
    eventually("the worker is known", SOON, || async {
        let workers = fixture.handoff.workers().await.expect("the registry");
        if workers.iter().any(|known| known.id == worker.id) { Ok(()) } else { Err(workers) }
    })
    .await;
    let start = Instant::now();
    worker.stop().await;
    // A take that is not woken ends by itself after 5 s.
    assert!(start.elapsed() < Duration::from_secs(4), "it took {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_starts_lose_no_job_and_spend_no_attempt() {
    let fixture = Fixture::start().await;
    // Three seconds of work: some jobs are left at the time when the first check sees that some are done.
    let ids = fixture.enqueue(&jobs("k", 60)).await;
    let work = || {
        handlers("k", |run| async move {
            tokio::select! {
                _ = run.cancelled() => Outcome::Failed("interrupted".to_owned()),
                () = tokio::time::sleep(Duration::from_millis(200)) => succeeded(),
            }
        })
    };
    let finished = async || fixture.store.finished(&ids).await.expect("the finished ones").len();
    let mut rounds = 0;
    while finished().await < ids.len() {
        let before = finished().await;
        let worker = fixture.worker(Settings { grace: Duration::ZERO, ..settings(4) }, work()).await;
        eventually("the worker has finished some jobs", SOON, || async {
            let now = finished().await;
            if now == ids.len() || now > before { Ok(()) } else { Err(now) }
        })
        .await;
        worker.stop().await;
        rounds += 1;
        for id in &ids {
            let job = fixture.job(*id).await;
            assert!(job.state != State::Running && job.attempt <= 1 && job.crashes == 0, "{job:?}");
        }
    }
    assert!(rounds > 1, "the worker was stopped while there was work");
    fixture.until_redis_is_empty(&QueueName::default()).await;
}
