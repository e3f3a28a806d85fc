//! Waiting jobs that may not begin any more.

use crate::world::{World, new_job, report};
use leasehold_core::{NewJob, State};
use std::time::Duration;

fn expiring() -> NewJob {
    NewJob { expires_in: Some(Duration::from_secs(3600)), ..new_job() }
}

async fn let_time_pass(world: &World) {
    world.sql("UPDATE leasehold.job SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL").await;
}

#[tokio::test]
async fn expired_jobs_are_cancelled_and_their_hints_are_gone() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let plain = world.enqueue_and_push(1).await;
    let expiring = world.enqueue_these(&[expiring()]).await;
    world.push(&expiring).await;
    assert_eq!(report(&reaper.tick().await, "lapse").changed, 0, "no job ends before its time");
    assert!(world.snapshot().await.ready.contains(&expiring[0]));
    let_time_pass(&world).await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "lapse").changed, 1, "{reports:?}");
    assert_eq!(world.state(expiring[0]).await, State::Cancelled);
    assert_eq!(world.snapshot().await.ready, plain);
    assert_eq!(report(&reaper.tick().await, "lapse").changed, 0, "a second run must change nothing");
}

#[tokio::test]
async fn three_reapers_end_each_job_once() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    world.enqueue_these(&(0..1200).map(|_| expiring()).collect::<Vec<_>>()).await;
    let_time_pass(&world).await;
    let (one, two, three) = tokio::join!(one.tick(), two.tick(), three.tick());
    let changed: u64 = [one, two, three].iter().map(|reports| report(reports, "lapse").changed).sum();
    assert_eq!(changed, 1200, "one tick must end more than one batch");
}
