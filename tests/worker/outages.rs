//! Stores that become unavailable and available again.

use crate::fixture::{Fixture, SOON, handlers, jobs, settings, succeeded};
use leasehold_core::{QueueName, State};
use leasehold_tests::{LinkState, Proxy, Stores, eventually, hints};
use leasehold_worker::Settings;
use std::time::Duration;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_jobs_come_from_the_line_and_with_it_from_the_head_again() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(4), handlers("k", |_| async { succeeded() })).await;
    for id in fixture.enqueue(&jobs("k", 10)).await {
        fixture.until(id, State::Succeeded).await;
    }
    fixture.stores.redis.server().kill();
    let without: Vec<_> = fixture.store.enqueue(&jobs("k", 50)).await.expect("enqueueing");
    for job in without {
        fixture.until(job.id, State::Succeeded).await;
    }
    fixture.stores.redis.server().start_again().expect("starting Redis");
    eventually("the worker is in the registry again", SOON, || async {
        let workers = fixture.handoff.workers().await.unwrap_or_default();
        if workers.iter().any(|known| known.id == worker.id) { Ok(()) } else { Err(workers) }
    })
    .await;
    // The worker uses the head again: an idle worker waits in a blocking take, and nowhere else.
    fixture.until_a_worker_blocks_in("blmove").await;
    for id in fixture.enqueue(&jobs("k", 10)).await {
        fixture.until(id, State::Succeeded).await;
    }
    fixture.until_redis_is_empty(&QueueName::default()).await;
    let tally = worker.stop().await;
    assert_eq!((tally.claimed, tally.succeeded), (70, 70));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_delays_no_job() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(4), handlers("k", |_| async { succeeded() })).await;
    for id in fixture.enqueue(&jobs("k", 4)).await {
        fixture.until(id, State::Succeeded).await;
    }
    fixture.stores.redis.server().freeze();
    let frozen = fixture.store.enqueue(&jobs("k", 20)).await.expect("enqueueing");
    for job in frozen {
        fixture.until(job.id, State::Succeeded).await;
    }
    fixture.stores.redis.server().thaw();
    let id = fixture.enqueue_one(crate::fixture::job("k")).await;
    fixture.until(id, State::Succeeded).await;
    assert_eq!(worker.stop().await.succeeded, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_kept_while_postgres_is_unavailable() {
    let fixture = Fixture::on(Stores::start_apart().await).await;
    let (open, gate) = watch::channel(false);
    let waits = handlers("k", move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test opens the gate");
            succeeded()
        }
    });
    let worker = fixture.worker(settings(8), waits).await;
    let ids = fixture.enqueue(&jobs("k", 20)).await;
    for id in &ids[..8] {
        fixture.until(*id, State::Running).await;
    }
    fixture.stores.database.server().stop_immediately();
    open.send(true).expect("handlers wait at the gate");
    // The handlers end, their results cannot be written, and no more jobs are claimed.
    eventually("nothing of the queue can be read", SOON, || async {
        match fixture.store.ping().await {
            Ok(()) => Err("PostgreSQL still answers"),
            Err(_) => Ok(()),
        }
    })
    .await;
    fixture.stores.database.server().start_again().expect("starting PostgreSQL");
    for id in &ids {
        eventually("the job succeeds", SOON, || async {
            match fixture.store.job(*id).await {
                Ok(Some(job)) if job.state == State::Succeeded => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await;
        let job = fixture.job(*id).await;
        assert_eq!((job.attempt, job.crashes), (1, 0));
    }
    let tally = worker.stop().await;
    assert_eq!((tally.succeeded, tally.leases_lost), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_by_the_server_cost_nothing() {
    let fixture = Fixture::start().await;
    let work = handlers("k", |_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        succeeded()
    });
    let worker = fixture.worker(Settings { lease: Duration::from_secs(3), ..settings(4) }, work).await;
    let _reaper = fixture.reaper(Duration::from_secs(3));
    let ids = fixture.enqueue(&jobs("k", 200)).await;
    for _ in 0..10 {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'worker' AND datname = current_database()",
        )
        .execute(fixture.store.pool())
        .await
        .expect("terminating");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for id in ids {
        fixture.until(id, State::Succeeded).await;
    }
    worker.stop().await;
}

/// Accepts the connections to PostgreSQL and closes them, as a proxy does that has lost its server. This is no refusal,
/// however often it happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_kept_while_every_connection_is_cut() {
    let fixture = Fixture::start().await;
    let proxy = Proxy::start(fixture.stores.database.server().port()).await;
    let url = proxy.instead_of(&fixture.stores.database.url);
    let (open, gate) = watch::channel(false);
    let waits = handlers("k", move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test opens the gate");
            succeeded()
        }
    });
    let long = Settings { lease: Duration::from_secs(600), ..settings(4) };
    let worker = fixture.worker_by(&url, long, waits).await;
    let ids = fixture.enqueue(&jobs("k", 4)).await;
    for id in &ids {
        fixture.until(*id, State::Running).await;
    }
    proxy.set(LinkState::Shut);
    let before = proxy.connections();
    open.send(true).expect("handlers wait at the gate");
    eventually("many connections were cut", SOON, || async {
        let since = proxy.connections() - before;
        if since >= 20 { Ok(()) } else { Err(since) }
    })
    .await;
    proxy.set(LinkState::Open);
    for id in ids {
        let job = fixture.until(id, State::Succeeded).await;
        assert_eq!((job.epoch, job.attempt), (1, 1), "the result of the one run there was");
    }
    assert_eq!(worker.stop().await.succeeded, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settle_whose_answer_is_lost_counts_once() {
    let fixture = Fixture::start().await;
    let proxy = Proxy::start(fixture.stores.database.server().port()).await;
    proxy.lose_answers("complete: ", "SELECT ", 2);
    let url = proxy.instead_of(&fixture.stores.database.url);
    let worker = fixture.worker_by(&url, settings(4), handlers("k", |_| async { succeeded() })).await;
    let ids = fixture.enqueue(&jobs("k", 20)).await;
    for id in ids {
        let job = fixture.until(id, State::Succeeded).await;
        assert_eq!((job.epoch, job.attempt), (1, 1));
    }
    let tally = worker.stop().await;
    assert_eq!(proxy.answers_left(), 0, "answers were lost");
    assert_eq!((tally.succeeded, tally.leases_lost, tally.stale_writes_refused), (20, 0, 0));
}

/// No reaper expires runs here: only the worker itself can find these runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_is_lost_spends_no_attempt() {
    for (statement, tag, with_redis) in [("claim: queued", "SELECT ", true), ("claim_line: queued", "SELECT ", false)] {
        let fixture = Fixture::start().await;
        let proxy = Proxy::start(fixture.stores.database.server().port()).await;
        proxy.lose_answers(statement, tag, 2);
        let url = proxy.instead_of(&fixture.stores.database.url);
        let long = Settings { lease: Duration::from_secs(600), ..settings(4) };
        let worker = fixture.worker_by(&url, long, handlers("k", |_| async { succeeded() })).await;
        if !with_redis {
            fixture.stores.redis.server().kill();
        }
        let jobs = fixture.store.enqueue(&jobs("k", 12)).await.expect("enqueueing");
        let ids: Vec<_> = jobs.into_iter().map(|job| job.id).collect();
        if with_redis {
            fixture.handoff.push(&QueueName::default(), &hints(&ids)).await.expect("pushing hints");
        }
        let mut claims = 0;
        for id in ids {
            let job = fixture.until(id, State::Succeeded).await;
            assert_eq!((job.attempt, job.crashes), (1, 0), "{statement}");
            claims += job.epoch;
        }
        let tally = worker.stop().await;
        assert_eq!(proxy.answers_left(), 0, "{statement}: answers were lost");
        // One of the two lost answers may have had no jobs in it.
        assert!(tally.released >= 1 && claims > 12, "{statement}: {tally:?}, {claims} claims");
        assert_eq!((tally.succeeded, tally.leases_lost), (12, 0), "{statement}");
    }
}
