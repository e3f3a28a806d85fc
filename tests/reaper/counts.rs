//! Changes of the numbers of jobs are folded into the counts.

use crate::world::World;
use leasehold_core::WorkerId;
use leasehold_tests::eventually;
use std::time::Duration;

const CHANGES: &str = "SELECT count(*) FROM leasehold.count_change";

#[tokio::test]
async fn two_reapers_fold_the_changes_and_the_numbers_stay_right() {
    let world = World::start().await;
    let mut reapers = [world.reaper().await, world.reaper().await];
    for round in 1..=3 {
        world.enqueue_and_push(20).await;
        let worker = WorkerId::new();
        let runs = world.take(worker, 5).await;
        world.settle(worker, &runs).await;
        assert!(world.number(CHANGES).await > 0, "round {round}");
        eventually("all changes are folded", Duration::from_secs(30), async || {
            let mut reports = Vec::new();
            for reaper in &mut reapers {
                reports.push(reaper.tick().await);
            }
            if world.number(CHANGES).await == 0 { Ok(()) } else { Err(reports) }
        })
        .await;
        let stats = world.store.stats().await.expect("stats");
        let numbers: Vec<_> = stats.iter().map(|of| (of.queued, of.running, of.succeeded_last_minute)).collect();
        assert_eq!(numbers, [(15 * round, 0, 5 * round)], "round {round}");
    }
    let broken = world.store.violations().await.expect("violations");
    assert!(broken.is_empty(), "{broken:?}");
}
