//! Leases that have run out in Redis.

use crate::world::{LEASE, World, queue, report};
use leasehold_core::WorkerId;
use leasehold_handoff::Held;
use leasehold_store::Kinds;

#[tokio::test]
async fn each_hint_goes_where_its_job_is() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    let ids = world.enqueue_and_push(3).await;
    let worker = WorkerId::new();
    let taken = world.handoff.take(&queue(), &[], &[], 3, LEASE).await.expect("take");
    assert_eq!(taken.ids, ids);
    // The first is never claimed, the second runs, the third has ended.
    let claimed = world.store.claim(worker, &queue(), &ids[1..], &Kinds::All, LEASE).await.expect("claim");
    let ended: Vec<_> = claimed.into_iter().filter(|job| job.fence.id == ids[2]).collect();
    world.settle(worker, &ended).await;
    world.let_hints_lapse().await;

    let reports = tokio::join!(one.tick(), two.tick(), three.tick());
    assert!(report(&reports.0, "leases").error.is_none(), "{reports:?}");
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.ready, [ids[0]], "the hint of a queued job must be back in the head");
    let mut held = snapshot.held;
    held.sort_by_key(|(id, _)| *id);
    assert!(
        matches!(held[..], [(first, Held::Waiting), (second, Held::Leased { ms_left })]
            if first == ids[0] && second == ids[1] && ms_left > 500_000),
        "the run must be leased for the rest of its lease, and the ended job forgotten: {held:?}"
    );
    assert_eq!(report(&one.tick().await, "leases").found, 0, "a second run must find nothing");
}

#[tokio::test]
async fn hints_of_a_paused_queue_are_forgotten() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue_and_push(1).await;
    world.handoff.take(&queue(), &[], &[], 1, LEASE).await.expect("take");
    world.store.pause(&queue()).await.expect("pause");
    world.let_hints_lapse().await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.held, [], "Redis must have no hint of a paused queue");
}
