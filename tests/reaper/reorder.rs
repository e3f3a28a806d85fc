//! The move of a line after its priority step has changed, finished by the reaper.

use crate::world::{SOON, World, new_job, queue};
use leasehold_core::{JobId, NewJob};
use leasehold_reaper::Reaper;
use leasehold_tests::eventually;
use std::time::Duration;

/// Sets the step as a client does that is killed before it moves any job.
const SET_BY_A_CLIENT_THAT_DIED: &str =
    "INSERT INTO leasehold.queue (name, priority_step) VALUES ('default', interval '1 minute');
     INSERT INTO leasehold.reorder (queue, since) VALUES ('default', pg_current_xact_id())";
const MISPLACED: &str = "SELECT count(*) FROM leasehold.job j
     WHERE j.line_at <> j.run_at - j.priority * interval '1 minute'";

fn urgent(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| NewJob { priority: 10, ..new_job() }).collect()
}

async fn until_done(world: &World, reaper: &mut Reaper) {
    // Transactions of other databases of the server delay the last pass too.
    eventually("the move is finished", SOON, async || {
        let reports = reaper.tick().await;
        if world.number("SELECT count(*) FROM leasehold.reorder").await == 0 { Ok(()) } else { Err(reports) }
    })
    .await;
}

#[tokio::test]
async fn a_move_whose_client_died_is_finished() {
    let world = World::with_head_max(64).await;
    let mut reaper = world.reaper().await;
    let plain = world.enqueue(50).await;
    world.enqueue_these(&urgent(2500)).await;
    world.sql(SET_BY_A_CLIENT_THAT_DIED).await;
    // A line that moves is no finding of doctor.
    assert!(world.store.violations().await.expect("violations").is_empty());
    until_done(&world, &mut reaper).await;
    assert_eq!(world.number(MISPLACED).await, 0);
    // The head follows. With a step of a minute, the urgent jobs are ten minutes ahead of the plain ones, as before.
    for _ in 0..5 {
        reaper.tick().await;
    }
    let ready = world.snapshot().await.ready;
    assert_eq!((ready.len(), ready.iter().any(|id| plain.contains(id))), (64, false));
}

/// An open transaction that began before the change may still write a position by the old step.
#[tokio::test]
async fn a_job_of_a_transaction_that_saw_the_old_step_gets_its_position_too() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue(1).await;
    let mut somebody = world.stores.database.connect().await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.queue")
        .execute(&mut somebody)
        .await
        .expect("a snapshot");
    let moved = world.store.set_priority_step(&queue(), Duration::from_secs(60)).await.expect("a step");
    assert_eq!(moved, 0);
    for _ in 0..3 {
        reaper.tick().await;
    }
    assert_eq!(world.number("SELECT count(*) FROM leasehold.reorder").await, 1, "somebody still sees the old step");
    let insert = "SELECT leasehold.enqueue('k', '1'::json, priority => 10)";
    sqlx::raw_sql(insert).execute(&mut somebody).await.expect("enqueueing");
    for _ in 0..3 {
        reaper.tick().await;
    }
    assert_eq!(world.number("SELECT count(*) FROM leasehold.reorder").await, 1, "the transaction is open");
    sqlx::raw_sql("COMMIT").execute(&mut somebody).await.expect("COMMIT");
    assert_eq!(world.number(MISPLACED).await, 1, "the job has the position of the old step");
    until_done(&world, &mut reaper).await;
    assert_eq!(world.number(MISPLACED).await, 0);
}

#[tokio::test]
async fn a_locked_job_moves_when_its_lock_ends_and_delays_no_other_job() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids: Vec<JobId> = world.enqueue_these(&urgent(20)).await;
    let mut somebody = world.stores.database.connect().await;
    sqlx::raw_sql("BEGIN").execute(&mut somebody).await.expect("BEGIN");
    sqlx::query("SELECT FROM leasehold.job WHERE id = $1 FOR UPDATE")
        .bind(ids[7].0)
        .execute(&mut somebody)
        .await
        .expect("a lock");
    world.sql(SET_BY_A_CLIENT_THAT_DIED).await;
    for _ in 0..4 {
        reaper.tick().await;
    }
    assert_eq!(world.number(MISPLACED).await, 1, "all others have moved");
    assert_eq!(world.number("SELECT count(*) FROM leasehold.reorder").await, 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut somebody).await.expect("ROLLBACK");
    until_done(&world, &mut reaper).await;
    assert_eq!(world.number(MISPLACED).await, 0);
}
