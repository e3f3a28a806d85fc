//! Scheduled jobs that come due.

use crate::world::{World, new_job, queue, report};
use leasehold_core::{NewJob, State};
use std::time::Duration;

fn scheduled(priority: i16) -> NewJob {
    NewJob { delay: Some(Duration::from_secs(3600)), priority, ..new_job() }
}

async fn let_time_pass(world: &World) {
    world.sql("UPDATE leasehold.job SET run_at = now() - interval '1 second' WHERE state = 'scheduled'").await;
}

#[tokio::test]
async fn due_jobs_join_the_line_and_the_head() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let waiting = world.enqueue_and_push(1).await;
    let low = world.enqueue_these(&[scheduled(0)]).await;
    let high = world.enqueue_these(&[scheduled(9)]).await;
    assert_eq!(report(&reaper.tick().await, "promote").changed, 0, "no job may be promoted before its time");

    let_time_pass(&world).await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "promote").changed, 2, "{reports:?}");
    assert_eq!(world.state(low[0]).await, State::Queued);
    let ready = world.snapshot().await.ready;
    assert_eq!(ready[0], high[0], "the job with a high priority must be in front");
    assert!(ready.contains(&low[0]) && ready.contains(&waiting[0]));

    assert_eq!(report(&reaper.tick().await, "promote").changed, 0, "a second run must change nothing");
    assert_eq!(world.snapshot().await.ready, ready);
}

#[tokio::test]
async fn three_reapers_promote_each_job_once() {
    let world = World::with_head_max(2048).await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    world.enqueue_these(&vec![scheduled(0); 1200].into_iter().map(with_new_id).collect::<Vec<_>>()).await;
    let_time_pass(&world).await;
    let (one, two, three) = tokio::join!(one.tick(), two.tick(), three.tick());
    let changed: u64 = [one, two, three].iter().map(|reports| report(reports, "promote").changed).sum();
    assert_eq!(changed, 1200, "one tick must promote more than one batch");
    let head = world.handoff.stats(&queue()).await.expect("stats");
    assert_eq!((head.ready, head.waiting_members), (1200, 1200), "{head:?}");
}

fn with_new_id(job: NewJob) -> NewJob {
    NewJob { id: new_job().id, ..job }
}
