//! Cancels that were requested in SQL.

use crate::world::{SOON, World, queue, report};
use leasehold_core::WorkerId;
use leasehold_handoff::Notice;
use leasehold_tests::eventually;
use std::time::Duration;

#[tokio::test]
async fn the_worker_of_a_run_is_told_until_the_run_has_ended() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let worker = WorkerId::new();
    world.enqueue_and_push(1).await;
    let job = world.take(worker, 1).await.remove(0);
    world.sql(format!("SELECT leasehold.cancel('{}')", job.fence.id)).await;

    let mut notices = world.handoff.listen();
    let wanted = Notice::Cancel { id: job.fence.id, epoch: job.fence.epoch, worker };
    for round in 1..=2 {
        // A notice from before the listener has connected is lost, and the reaper sends it again.
        eventually("the worker is told", SOON, async || {
            assert_eq!(report(&reaper.tick().await, "cancel").found, 1, "round {round}");
            match tokio::time::timeout(Duration::from_millis(200), notices.recv()).await {
                Ok(Some(notice)) if notice == wanted => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    let run = leasehold_core::FinishedRun { fence: job.fence, settle: leasehold_core::Settle::Cancel };
    world.store.settle(worker, &[run]).await.expect("settle");
    world.handoff.ack(&[(queue(), vec![job.fence.id])]).await.expect("ack");
    assert_eq!(report(&reaper.tick().await, "cancel").found, 0);
}
