//! A row that another open transaction has locked delays its own job, and nothing else.

use crate::fixture::{Fixture, HEAD_MAX, SOON, handler, handlers, job, jobs, kind, settings, succeeded};
use leasehold_core::{JobId, QueueName, State};
use leasehold_tests::eventually;
use leasehold_worker::Handlers;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A connection of another program, with an open transaction that holds locks on these rows.
async fn locked(fixture: &Fixture, ids: &[JobId]) -> PgConnection {
    let mut somebody = fixture.stores.database.connect().await;
    sqlx::raw_sql("BEGIN").execute(&mut somebody).await.expect("BEGIN");
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query("SELECT FROM leasehold.job WHERE id = ANY ($1) FOR UPDATE")
        .bind(ids)
        .execute(&mut somebody)
        .await
        .expect("locking rows");
    somebody
}

async fn rollback(mut somebody: PgConnection) {
    sqlx::raw_sql("ROLLBACK").execute(&mut somebody).await.expect("ROLLBACK");
}

async fn until_finished(fixture: &Fixture, count: i64) {
    eventually(&format!("{count} jobs are finished"), SOON, || async {
        let finished: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history")
            .fetch_one(fixture.store.pool())
            .await
            .expect("a count");
        if finished == count { Ok(()) } else { Err(finished) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_waiting_jobs_do_not_delay_jobs_behind_them() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    // More jobs than the head holds, all of them at the front.
    let front = fixture.enqueue(&jobs("k", 3 * HEAD_MAX as usize)).await;
    let somebody = locked(&fixture, &front).await;
    let behind = fixture.enqueue(&jobs("k", 1000)).await;
    let worker = fixture.worker(settings(10), handlers("k", |_| async { succeeded() })).await;
    until_finished(&fixture, behind.len() as i64).await;
    assert_eq!(fixture.job(front[0]).await.state, State::Queued);
    // The worker tries these jobs again without a new hint.
    rollback(somebody).await;
    until_finished(&fixture, (front.len() + behind.len()) as i64).await;
    fixture.until_redis_is_empty(&QueueName::default()).await;
    let tally = worker.stop().await;
    assert_eq!(tally.claimed as usize, front.len() + behind.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_running_job_does_not_delay_other_results() {
    let fixture = Fixture::start().await;
    let (go, gone) = watch::channel(false);
    let worker = fixture
        .worker(
            settings(10),
            handlers("k", move |run| {
                let mut gone = gone.clone();
                async move {
                    if run.job().payload.get() == "\"waits\"" {
                        gone.wait_for(|gone| *gone).await.expect("a word to go on");
                    }
                    succeeded()
                }
            }),
        )
        .await;
    let mut waits = job("k");
    waits.payload = crate::fixture::json("\"waits\"");
    let held = fixture.enqueue_one(waits).await;
    fixture.until(held, State::Running).await;
    let somebody = locked(&fixture, &[held]).await;
    go.send_replace(true);
    let others = fixture.enqueue(&jobs("k", 3000)).await;
    until_finished(&fixture, others.len() as i64).await;
    assert_eq!(fixture.job(held).await.state, State::Running, "nobody can write about it");
    assert_eq!(worker.watch.running(), 1, "only the locked one is held");
    rollback(somebody).await;
    let job = fixture.until(held, State::Succeeded).await;
    assert_eq!((job.attempt, job.crashes, job.epoch), (1, 0, 1));
    let tally = worker.stop().await;
    assert!(tally.settles_held_up > 0, "{tally:?}");
    assert_eq!((tally.deferred, tally.unwritten, tally.leases_lost), (0, 0, 0), "{tally:?}");
}

/// If the row of a job is locked when its worker stops, a reaper writes the end of the run when the lock is gone.
/// Whatever the end is, no attempt is spent and no job runs twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_locked_ends_to_the_reaper() {
    let fixture = Fixture::start().await;
    let mut settings = settings(10);
    settings.grace = Duration::from_millis(100);
    settings.lease = Duration::from_secs(2);
    let mut both = Handlers::new();
    both.insert(
        kind("quick"),
        handler(|run| async move {
            let _ = run.cancelled().await;
            succeeded()
        }),
    );
    both.insert(kind("slow"), handler(|_| std::future::pending()));
    let worker = fixture.worker(settings.clone(), both).await;
    let (quick, slow) = (fixture.enqueue_one(job("quick")).await, fixture.enqueue_one(job("slow")).await);
    fixture.until(quick, State::Running).await;
    fixture.until(slow, State::Running).await;
    let somebody = locked(&fixture, &[quick, slow]).await;
    let tally = worker.stop().await;
    assert_eq!((tally.deferred, tally.unwritten), (2, 0), "{tally:?}");
    // The leases run out meanwhile.
    let _reaper = fixture.reaper(settings.lease);
    eventually("the leases have run out", SOON, || async {
        let job = fixture.job(slow).await;
        let ran_out = job.lease_expires_at.is_some_and(|until| until < chrono::Utc::now());
        if ran_out { Ok(()) } else { Err(job.lease_expires_at) }
    })
    .await;
    rollback(somebody).await;
    let quick = fixture.until(quick, State::Succeeded).await;
    assert_eq!((quick.attempt, quick.crashes, quick.epoch), (1, 0, 1));
    let slow = fixture.until(slow, State::Queued).await;
    assert_eq!((slow.attempt, slow.crashes, slow.epoch), (0, 0, 1), "given back with its attempt");
    // A reaper deletes deferred results after it has written them.
    eventually("nothing is left for the reaper", SOON, || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.deferred_settle")
            .fetch_one(fixture.store.pool())
            .await
            .expect("a count");
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

/// Makes all jobs look as if their workers had been killed twice.
async fn endanger_all(fixture: &Fixture) {
    sqlx::query("UPDATE leasehold.job SET crashes = 2, epoch = 2, attempt = 2")
        .execute(fixture.store.pool())
        .await
        .expect("crashes");
}

/// Waits until every job that never crashed has finished. Returns how many of the other jobs still wait.
async fn until_those_behind_are_finished(fixture: &Fixture) -> i64 {
    eventually("the jobs behind have finished", SOON, || async {
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job WHERE crashes = 0")
            .fetch_one(fixture.store.pool())
            .await
            .expect("a count");
        if live == 0 { Ok(()) } else { Err(live) }
    })
    .await;
    sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(fixture.store.pool()).await.expect("a count")
}

/// Jobs whose workers were killed twice run one at a time. The jobs behind them are not delayed.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_danger_do_not_delay_jobs_behind_them() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let front = fixture.enqueue(&jobs("k", 90)).await;
    endanger_all(&fixture).await;
    let behind = fixture.enqueue(&jobs("k", 1000)).await;
    let worker = fixture.worker(settings(10), handlers("k", |_| async { succeeded() })).await;
    let waiting = until_those_behind_are_finished(&fixture).await;
    assert!(waiting > 45, "those in danger run one at a time: {waiting} of 90 wait still");
    until_finished(&fixture, (front.len() + behind.len()) as i64).await;
    fixture.until_redis_is_empty(&QueueName::default()).await;
    worker.stop().await;
}

/// The same without Redis: jobs are claimed from the line.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_jobs_in_danger_do_not_delay_jobs_behind_them() {
    let fixture = Fixture::start().await;
    let front = fixture.enqueue(&jobs("k", 300)).await;
    endanger_all(&fixture).await;
    let behind = fixture.enqueue(&jobs("k", 1000)).await;
    let worker = fixture.worker(settings(10), handlers("k", |_| async { succeeded() })).await;
    fixture.stores.redis.server().kill();
    let waiting = until_those_behind_are_finished(&fixture).await;
    assert!(waiting > front.len() as i64 / 2, "those in danger run one at a time: {waiting} of 300 wait still");
    until_finished(&fixture, (front.len() + behind.len()) as i64).await;
    worker.stop().await;
}

/// If the whole table is locked when a worker stops, the worker leaves its results for the reaper before its time to stop is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_the_end_of_a_table_lock() {
    let fixture = Fixture::start().await;
    let mut settings = settings(10);
    settings.grace = Duration::from_millis(100);
    let (lease, stop_time) = (settings.lease, settings.grace + Duration::from_secs(13));
    assert!(stop_time < lease, "the worker must not wait for a lease");
    let ends_when_told = handlers("k", |run| async move {
        let _ = run.cancelled().await;
        succeeded()
    });
    let worker = fixture.worker(settings, ends_when_told).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Running).await;
    let mut somebody = fixture.stores.database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE leasehold.job").execute(&mut somebody).await.expect("the table is locked");
    let begun = Instant::now();
    let stopping = tokio::spawn(worker.stop());
    eventually("the result is left for the reaper", stop_time, || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.deferred_settle")
            .fetch_one(fixture.store.pool())
            .await
            .map_err(|error| error.to_string())?;
        if left == 1 { Ok(()) } else { Err("none is left".to_owned()) }
    })
    .await;
    println!("left for the reaper {:?} after the start of the stop", begun.elapsed());
    rollback(somebody).await;
    let tally = stopping.await.expect("the worker stops");
    assert_eq!((tally.deferred, tally.unwritten), (1, 0), "{tally:?}");
    let _reaper = fixture.reaper(lease);
    let job = fixture.until(id, State::Succeeded).await;
    assert_eq!((job.attempt, job.crashes, job.epoch), (1, 0, 1));
}
