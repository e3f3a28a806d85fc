//! A transaction stays open, so PostgreSQL must keep dead rows. The steps read from the first live job on. A job that later
//! comes before the first live job is found by a survey.

use crate::world::{World, new_job, queue, report};
use chrono::{TimeDelta, Utc};
use leasehold_core::{JobId, NewJob, State, WorkerId};
use leasehold_reaper::{Reaper, fill_head};
use leasehold_tests::eventually;
use sqlx::{Connection, Executor, PgConnection};
use std::time::Duration;

/// So many dead index entries that every machine needs more than 10 ms to skip them.
const DEAD: u32 = 300_000;
/// After a slow survey, the next one waits for 50 times its duration, and on a busy machine a survey takes a second.
const AFTER_A_REST: Duration = Duration::from_secs(120);

/// A world with dead rows, and the transaction for which PostgreSQL keeps them.
async fn start() -> (World, PgConnection) {
    let world = World::start().await;
    let mut open = PgConnection::connect(&world.stores.database.url).await.expect("PostgreSQL");
    open.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.job")
        .await
        .expect("a snapshot");
    world
        .sql(format!(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state,
                                        line_at)
             SELECT gen_random_uuid(), now() - interval '1 hour', 5, 3, 0, 'default', 'k', '{{}}', 'queued',
                    now() - interval '1 hour'
             FROM generate_series(1, {DEAD})"
        ))
        .await;
    world.sql("DELETE FROM leasehold.job").await;
    (world, open)
}

async fn begins(world: &World) -> Option<String> {
    world.handoff.tail(&queue()).await.expect("tail").scan_start
}

/// Ticks until a slow survey has found where the line begins.
async fn learn_the_line(world: &World, reaper: &mut Reaper) {
    eventually("a slow survey has found where the line begins", AFTER_A_REST, async || {
        let reports = reaper.tick().await;
        if begins(world).await.is_some() { Ok(()) } else { Err(reports) }
    })
    .await;
}

/// A job before the known beginning of the line, without a hint.
async fn enqueue_before_the_beginning(world: &World) -> JobId {
    let job = NewJob { run_at: Some(Utc::now() - TimeDelta::hours(1)), ..new_job() };
    world.enqueue_these(&[job]).await[0]
}

#[tokio::test]
async fn jobs_run_and_a_job_before_the_known_beginning_is_found() {
    let (world, open) = start().await;
    let mut reaper = world.reaper().await;
    let worker = WorkerId::new();
    let first = world.enqueue(3).await;
    learn_the_line(&world, &mut reaper).await;
    assert_eq!(world.snapshot().await.ready, first);

    // From now on a fill by a worker starts at this beginning too.
    let second = world.enqueue(3).await;
    let filled = fill_head(&world.store, &world.handoff, &queue(), world.head_max).await.expect("fill");
    assert_eq!((filled.pushed, filled.held), (3, 3));
    assert_eq!(world.work(worker, 6).await, 6);
    reaper.tick().await;
    let moved = begins(&world).await;
    let third = world.enqueue(1).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, third, "one tick must be enough for a job at the end of the line");
    assert_ne!(begins(&world).await, moved, "the beginning must move on");

    let early = enqueue_before_the_beginning(&world).await;
    eventually("a survey finds the job before the known beginning", AFTER_A_REST, async || {
        let reports = reaper.tick().await;
        if world.snapshot().await.ready == [early, third[0]] { Ok(()) } else { Err(reports) }
    })
    .await;
    assert!(second.len() == 3 && world.work(worker, 2).await == 2);
    open.close().await.expect("the transaction stayed open");
}

#[tokio::test]
async fn leases_expire_and_due_jobs_get_into_the_line() {
    let (world, open) = start().await;
    let mut reaper = world.reaper().await;
    let worker = WorkerId::new();
    let ids = world.enqueue_and_push(2).await;
    assert_eq!(world.take(worker, 2).await.len(), 2);
    world.enqueue_and_push(1).await;
    learn_the_line(&world, &mut reaper).await;
    let in_a_moment =
        format!("UPDATE leasehold.job SET lease_expires_at = now() + interval '1 ms' WHERE id = '{}'", ids[0]);
    world.sql(in_a_moment).await;
    let due = "SELECT leasehold.enqueue('due', '{}', run_at => now() + interval '1 ms')";
    world.sql(due).await;
    eventually("the expired job and the due job are in the head", AFTER_A_REST, async || {
        let reports = reaper.tick().await;
        let waits = world.snapshot().await.ready.len();
        if waits == 3 { Ok(()) } else { Err((waits, reports)) }
    })
    .await;

    world.let_leases_lapse().await;
    eventually("a survey finds the lease that ran out before the known beginning", AFTER_A_REST, async || {
        let reports = reaper.tick().await;
        if world.state(ids[1]).await == State::Queued { Ok(()) } else { Err(reports) }
    })
    .await;
    assert!(report(&reaper.tick().await, "survey").error.is_none());
    open.close().await.expect("the transaction stayed open");
}

/// A reaper that starts with dead rows must read them once.
#[tokio::test]
async fn no_head_is_emptied_before_the_lines_are_known() {
    let (world, open) = start().await;
    let ids = world.enqueue_and_push(2).await;
    let mut reaper = world.reaper().await;
    eventually("the head step has worked", AFTER_A_REST, async || {
        let reports = reaper.tick().await;
        let head = report(&reports, "head");
        if head.error.is_none() { Ok(()) } else { Err(reports) }
    })
    .await;
    assert_eq!(world.snapshot().await.ready, ids);
    open.close().await.expect("the transaction stayed open");
}
