//! Damage that no other step finds.

use crate::world::{LEASE, SOON, World, queue, report};
use leasehold_core::{JobId, WorkerId};
use leasehold_handoff::Held;
use leasehold_tests::{eventually, hints};

#[tokio::test]
async fn hints_of_jobs_that_are_not_in_the_line_are_swept_within_two_ticks() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let gone: Vec<JobId> = (0..5).map(|_| JobId::new()).collect();
    let ids = world.enqueue_and_push(3).await;
    world.handoff.push(&queue(), &hints(&gone)).await.expect("push");
    // SQL cancels a job while its hint waits.
    world.sql(format!("SELECT leasehold.cancel('{}')", ids[1])).await;
    reaper.tick().await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "sweep").changed, 6, "{reports:?}");
    assert_eq!(world.snapshot().await.ready, [ids[0], ids[2]]);
    assert_eq!(report(&reaper.tick().await, "sweep").changed, 0, "a third run must change nothing");
}

#[tokio::test]
async fn a_run_that_redis_has_forgotten_is_leased_there_again() {
    let world = World::start().await;
    world.enqueue_and_push(2).await;
    let jobs = world.take(WorkerId::new(), 1).await;
    world.handoff.ack(&[(queue(), vec![jobs[0].fence.id])]).await.expect("ack");
    let mut reaper = world.reaper().await;
    eventually("the run is leased in Redis", SOON, async || {
        reaper.tick().await;
        let held = world.snapshot().await.held;
        let leased = |(id, held): &(JobId, Held)| {
            *id == jobs[0].fence.id && matches!(held, Held::Leased { ms_left } if *ms_left > 500_000)
        };
        if held.iter().any(leased) { Ok(()) } else { Err(held) }
    })
    .await;
}

#[tokio::test]
async fn three_reapers_at_once_make_lists_and_set_agree_again() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    let ids = world.enqueue_and_push(6).await;
    // A hint in no list, a hint twice in the list, a hint that the set does not have, and a hint with an endless lease.
    world.by_hand("LREM", &[world.key("ready"), "0".into(), ids[0].to_string()]).await;
    world.by_hand("RPUSH", &[world.key("ready"), ids[1].to_string()]).await;
    world.by_hand("ZREM", &[world.key("leases"), ids[2].to_string()]).await;
    world.by_hand("LREM", &[world.key("ready"), "0".into(), ids[3].to_string()]).await;
    let far = i64::try_from(LEASE.as_millis()).expect("it fits") * 10_000_000;
    world.by_hand("ZADD", &[world.key("leases"), far.to_string(), ids[3].to_string()]).await;
    for _ in 0..3 {
        tokio::join!(one.tick(), two.tick(), three.tick());
    }
    eventually("the head is equal to the line again", SOON, async || {
        tokio::join!(one.tick(), two.tick(), three.tick());
        let snapshot = world.snapshot().await;
        let mut ready = snapshot.ready.clone();
        ready.sort();
        if ready == ids && snapshot.held.len() == 6 { Ok(()) } else { Err(snapshot) }
    })
    .await;
}

/// As many entries in the lists as in the set, so no length shows that a hint is missing.
#[tokio::test]
async fn a_hint_in_no_list_is_found_although_another_one_is_there_twice() {
    let world = World::start().await;
    let ids = world.enqueue_and_push(2).await;
    world.by_hand("LREM", &[world.key("ready"), "0".into(), ids[0].to_string()]).await;
    world.by_hand("RPUSH", &[world.key("ready"), ids[1].to_string()]).await;
    let mut reaper = world.reaper().await;
    eventually("the head is the line again", SOON, async || {
        reaper.tick().await;
        let snapshot = world.snapshot().await;
        if snapshot.ready == ids { Ok(()) } else { Err(snapshot) }
    })
    .await;
}
