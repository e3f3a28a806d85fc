//! Every place a process can die, and who puts it right.

use crate::world::{LEASE, SOON, World, queue, report};
use leasehold_core::{State, WorkerId};
use leasehold_store::Kinds;
use leasehold_tests::eventually;
use std::time::Duration;

#[tokio::test]
async fn between_commit_and_push() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(3).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, ids);
}

#[tokio::test]
async fn between_the_blocking_take_and_the_lease() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    let mut taker = world.handoff.taker(&queue()).await.expect("a taker");
    assert_eq!(taker.take(Duration::from_secs(5)).await.expect("take"), Some(ids[0]));
    drop(taker);
    reaper.tick().await;
    assert_eq!(world.head().await.leased, 1, "adopted");
    world.let_hints_lapse().await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, ids);
}

#[tokio::test]
async fn between_the_lease_in_redis_and_the_claim() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    world.handoff.claim(&queue(), &[], &[], 1, Duration::from_millis(100)).await.expect("claim in Redis");
    eventually("the hint is back when its lease has run out", SOON, async || {
        let reports = reaper.tick().await;
        if world.snapshot().await.ready == ids { Ok(()) } else { Err(reports) }
    })
    .await;
}

#[tokio::test]
async fn between_the_claim_and_the_settle() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    let taken = world.handoff.claim(&queue(), &[], &[], 1, LEASE).await.expect("claim in Redis");
    let lease = Duration::from_millis(100);
    let dead = world.store.claim(WorkerId::new(), &taken.ids, &Kinds::All, lease).await.expect("claim");
    eventually("the job is in the line and in the head", SOON, async || {
        let reports = reaper.tick().await;
        if world.snapshot().await.ready == ids { Ok(()) } else { Err(reports) }
    })
    .await;

    let next = WorkerId::new();
    let again = world.take(next, 1).await;
    assert_eq!((again[0].fence.epoch, again[0].attempt, again[0].crashes), (2, 2, 1));
    world.settle(dead[0].fence.worker, &dead).await;
    assert_eq!(world.state(ids[0]).await, State::Running, "the late result of the dead worker changes nothing");
    world.settle(next, &again).await;
    assert_eq!(world.state(ids[0]).await, State::Succeeded);
}

#[tokio::test]
async fn between_the_settle_and_the_ack() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue_and_push(1).await;
    let worker = WorkerId::new();
    let jobs = world.take(worker, 1).await;
    world.settle(worker, &jobs).await;
    world.let_hints_lapse().await;
    reaper.tick().await;
    assert_eq!(world.handoff.queues().await.expect("queues"), [], "nothing is left in Redis");
}

#[tokio::test]
async fn between_the_statement_and_the_hints_of_the_reaper() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    world.take(WorkerId::new(), 1).await;
    world.let_leases_lapse().await;
    // A reaper that has expired the lease and told Redis nothing: its lease there still stands.
    assert_eq!(world.store.expire(10).await.expect("expire").len(), 1);
    assert_eq!(world.head().await.leased, 1);
    eventually("swept: leased in Redis for longer than any hand-off, and queued", SOON, async || {
        let reports = reaper.tick().await;
        if world.snapshot().await.ready == ids { Ok(()) } else { Err(reports) }
    })
    .await;
}

#[tokio::test]
async fn redis_lost_with_ten_thousand_jobs_in_the_line() {
    let world = World::with_head_max(4096).await;
    let mut reaper = world.reaper().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.extend(world.enqueue(500).await);
    }
    reaper.tick().await;
    assert_eq!(world.head().await.ready, 4096);
    let worker = WorkerId::new();
    let running = world.take(worker, 10).await;

    world.by_hand("FLUSHALL", &[]).await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "head").changed, 4096, "{reports:?}");
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.ready, ids[10..4106], "the front of the line, in order");
    assert!(snapshot.overflow);
    assert_eq!(reaper.redis_losses(), 1);
    reaper.tick().await;
    assert_eq!(world.head().await.leased, running.len() as u64, "what runs is known again");
    assert_eq!(reaper.redis_losses(), 1, "told once");
}
