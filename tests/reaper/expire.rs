//! Leases that have run out in PostgreSQL.

use crate::world::{World, queue, report};
use leasehold_core::{State, WorkerId};
use leasehold_handoff::Held;

#[tokio::test]
async fn a_lost_run_goes_back_to_the_front_of_its_head() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let lost = world.enqueue_and_push(2).await;
    assert_eq!(world.take(WorkerId::new(), 2).await.len(), 2);
    let behind = world.enqueue_and_push(1).await;
    world.let_leases_lapse().await;

    let reports = reaper.tick().await;
    assert_eq!((report(&reports, "expire").found, report(&reports, "expire").changed), (2, 2), "{reports:?}");
    assert_eq!(world.state(lost[0]).await, State::Queued);
    let snapshot = world.snapshot().await;
    let mut front = snapshot.ready[..2].to_vec();
    front.sort();
    assert_eq!((front, snapshot.ready[2]), (lost, behind[0]), "a job that has waited before must be in front");
    assert!(snapshot.held.iter().all(|(_, held)| *held == Held::Waiting), "{snapshot:?}");

    let again = reaper.tick().await;
    assert_eq!(report(&again, "expire").changed, 0, "{again:?}");
    assert_eq!(world.snapshot().await, snapshot);
}

#[tokio::test]
async fn the_third_lost_run_is_the_last() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let id = world.enqueue_and_push(1).await[0];
    for crashes in 1..=3 {
        assert_eq!(world.take(WorkerId::new(), 1).await.len(), 1, "claimed after {} crashes", crashes - 1);
        world.let_leases_lapse().await;
        reaper.tick().await;
    }
    assert_eq!(world.state(id).await, State::Dead);
    assert_eq!(world.snapshot().await.held, [], "Redis must have forgotten the job");
}

#[tokio::test]
async fn a_lost_run_whose_cancel_was_requested_is_cancelled() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let id = world.enqueue_and_push(1).await[0];
    world.take(WorkerId::new(), 1).await;
    world.store.cancel(&[id]).await.expect("cancel");
    world.let_leases_lapse().await;
    reaper.tick().await;
    assert_eq!(world.state(id).await, State::Cancelled);
    assert_eq!(world.snapshot().await.held, []);
}

#[tokio::test]
async fn three_reapers_expire_each_lease_once() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    world.enqueue_and_push(60).await;
    assert_eq!(world.take(WorkerId::new(), 60).await.len(), 60);
    world.let_leases_lapse().await;

    let (one, two, three) = tokio::join!(one.tick(), two.tick(), three.tick());
    let changed: u64 = [one, two, three].iter().map(|reports| report(reports, "expire").changed).sum();
    assert_eq!(changed, 60);
    assert_eq!(world.number("SELECT count(*) FROM leasehold.job WHERE crashes = 1 AND state = 'queued'").await, 60);
    let head = world.head().await;
    assert_eq!((head.ready, head.waiting_members, head.leased), (60, 60, 0), "each job must have one hint: {head:?}");
    assert_eq!(world.handoff.queues().await.expect("queues"), [queue()]);
}
