//! The pause flag in Redis follows PostgreSQL.

use crate::world::{World, queue, report};

#[tokio::test]
async fn flags_follow_postgres_both_ways() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(3).await;

    world.store.pause(&queue()).await.expect("pause");
    assert_eq!(report(&reaper.tick().await, "pauses").changed, 1);
    let head = world.head().await;
    assert!(head.paused && head.ready == 0 && head.waiting_members == 0, "{head:?}");
    assert_eq!(report(&reaper.tick().await, "pauses").changed, 0, "a second run must change nothing");
    assert_eq!(world.head().await.ready, 0, "the head must stay empty");

    world.store.resume(&queue()).await.expect("resume");
    assert_eq!(report(&reaper.tick().await, "pauses").changed, 1);
    assert_eq!(world.snapshot().await.ready, ids, "the same tick must fill the head");
    assert!(!world.head().await.overflow);
    assert_eq!(report(&reaper.tick().await, "pauses").changed, 0);
}

#[tokio::test]
async fn a_pause_outlives_a_flush_and_a_pause_by_sql_counts() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    world.enqueue(3).await;
    world.sql("INSERT INTO leasehold.queue (name, paused_at) VALUES ('default', now())").await;
    world.by_hand("FLUSHALL", &[]).await;
    tokio::join!(one.tick(), two.tick(), three.tick());
    let head = world.head().await;
    assert!(head.paused && head.ready == 0, "{head:?}");
}
