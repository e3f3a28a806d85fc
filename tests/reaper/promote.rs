//! Scheduled jobs that come due.

use crate::world::{SOON, World, new_job, queue, report};
use leasehold_core::{JobId, NewJob, State};
use leasehold_ports::Notice;
use leasehold_tests::eventually;
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

async fn until_queued(world: &World, id: JobId) {
    eventually("the job is in the line", SOON, async || {
        let state = world.state(id).await;
        if state == State::Queued { Ok(()) } else { Err(state) }
    })
    .await;
}

#[tokio::test]
async fn a_job_is_promoted_when_it_is_due_and_not_at_the_next_tick() {
    let world = World::start().await;
    let after = |ms| NewJob { delay: Some(Duration::from_millis(ms)), ..new_job() };
    let ids = world.enqueue_these(&[after(700), after(1400)]).await;
    let (watch, stop) = world.with_an_endless_tick("promote").await;
    for id in ids {
        until_queued(&world, id).await;
    }
    // The step counts the moved jobs after PostgreSQL has answered. Other sessions can see the new state before that.
    eventually("both jobs are counted", SOON, async || {
        let late = watch.totals().lateness;
        if late.jobs.iter().sum::<u64>() == 2 { Ok(()) } else { Err(late) }
    })
    .await;
    stop.cancel();
}

#[tokio::test]
async fn a_job_that_is_due_soon_is_announced() {
    let world = World::start().await;
    let (_, stop) = world.with_an_endless_tick("promote").await;
    let delay = Duration::from_millis(300);
    let id = world.enqueue_these(&[NewJob { delay: Some(delay), ..new_job() }]).await[0];
    // The reaper may not listen yet.
    eventually("the job is in the line", SOON, async || {
        world.handoff.notify(&[Notice::due(delay).expect("soon")]).await.expect("PUBLISH");
        let state = world.state(id).await;
        if state == State::Queued { Ok(()) } else { Err(state) }
    })
    .await;
    stop.cancel();
}

/// More jobs of one queue are due than a tick moves, and all of them were due before the job of the other queue.
#[tokio::test]
async fn a_crowd_that_is_due_does_not_delay_the_jobs_of_another_queue() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world
        .sql(
            "INSERT INTO leasehold.job (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, state, line_at)
             SELECT gen_random_uuid(), 'crowd', 'k', '1', 0, now() - interval '1 minute', 5, 3, 'scheduled', now()
             FROM generate_series(1, 30000)",
        )
        .await;
    let other = world.enqueue_these(&[scheduled(0)]).await[0];
    world.sql(format!("UPDATE leasehold.job SET run_at = now() WHERE id = '{other}'")).await;
    let changed = report(&reaper.tick().await, "promote").changed;
    assert!(changed < 30_000, "the crowd is longer than one tick: {changed}");
    assert_eq!(world.state(other).await, State::Queued);
}
