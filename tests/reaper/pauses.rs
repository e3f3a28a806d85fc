//! The pause flag in Redis follows PostgreSQL.

use crate::world::{World, kind, new_job, queue, report};
use leasehold_core::{NewJob, WorkerId};

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

/// The hints of a paused kind leave the head when workers come upon them, and no fill brings them back. After a resume, the next tick
/// brings them back, and does not take them for lost ones.
#[tokio::test]
async fn a_head_is_filled_without_paused_kinds() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let paused = world.enqueue_and_push(3).await;
    let open = world.enqueue_these(&[NewJob { kind: kind("open"), ..new_job() }]).await;
    reaper.tick().await;
    assert_eq!(world.head().await.ready, 4);

    let of = new_job().kind;
    world.store.pause_kind(&queue(), &of).await.expect("pause");
    let worker = WorkerId::new();
    let claimed = world.take(worker, 10).await;
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), open);
    for _ in 0..3 {
        assert_eq!(report(&reaper.tick().await, "head").changed, 0);
        assert_eq!(world.head().await.ready, 0, "the head must stay empty");
    }
    let later = world.enqueue_these(&[NewJob { kind: kind("open"), ..new_job() }]).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, later, "other kinds come into the head");

    world.store.resume_kind(&queue(), &of).await.expect("resume");
    let reports = reaper.tick().await;
    let head = report(&reports, "head");
    assert!(head.drift.is_empty(), "nothing was lost: {reports:?}");
    assert_eq!(world.snapshot().await.ready, [paused, later].concat());
}
