//! Hints in `claimed` without a lease.

use crate::world::{World, report};
use leasehold_handoff::Held;
use leasehold_reaper::HANDOFF_LEASE;

#[tokio::test]
async fn a_hint_in_claimed_gets_a_short_lease_and_comes_back() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    let ids = world.enqueue_and_push(2).await;
    // A worker that dies right after its blocking take.
    world.by_hand("LMOVE", &[world.key("ready"), world.key("claimed"), "LEFT".into(), "RIGHT".into()]).await;

    let reports = tokio::join!(one.tick(), two.tick(), three.tick());
    let adopted: u64 = [reports.0, reports.1, reports.2].iter().map(|tick| report(tick, "adopt").changed).sum();
    assert_eq!(adopted, 1, "exactly one reaper must adopt the hint");
    let snapshot = world.snapshot().await;
    assert_eq!((snapshot.claimed.len(), snapshot.ready.len()), (0, 1));
    let most_ms = i64::try_from(HANDOFF_LEASE.as_millis()).expect("a few thousand");
    let leased = snapshot.held.iter().find(|(id, _)| *id == ids[0]).expect("Redis knows the hint");
    assert!(matches!(leased.1, Held::Leased { ms_left } if ms_left > 0 && ms_left <= most_ms), "{leased:?}");
    assert_eq!(report(&one.tick().await, "adopt").changed, 0, "a second run must change nothing");

    world.let_hints_lapse().await;
    one.tick().await;
    assert_eq!(world.snapshot().await.ready, ids, "the hint must be in front of the waiting hint");
}
