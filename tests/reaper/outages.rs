//! Stores that become unavailable and come back.

use crate::world::{HEAD_MAX, QUIET, SOON, World, report};
use leasehold_core::{State, WorkerId};
use leasehold_reaper::StepReport;
use leasehold_tests::{Stores, eventually};
use std::time::{Duration, Instant};

fn failed(reports: &[StepReport]) -> Vec<&'static str> {
    reports.iter().filter(|report| report.error.is_some()).map(|report| report.step).collect()
}

#[tokio::test]
async fn without_redis_the_steps_of_postgres_go_on() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    reaper.tick().await;
    let ids = world.enqueue_and_push(2).await;
    world.take(WorkerId::new(), 1).await;
    world.let_leases_lapse().await;
    world.stores.redis.server().kill();

    let reports = reaper.tick().await;
    assert_eq!(failed(&reports), ["pauses", "adopt", "leases", "head", "sweep"], "{reports:?}");
    assert_eq!(report(&reports, "expire").changed, 1);
    assert_eq!(report(&reports, "promote").error, None);
    assert_eq!(world.state(ids[0]).await, State::Queued);

    world.stores.redis.server().start_again().expect("Redis again");
    let reports = reaper.tick().await;
    assert_eq!(failed(&reports), [""; 0], "{reports:?}");
    assert_eq!(world.snapshot().await.ready, ids, "Redis came back empty and must be filled after one tick");
    assert_eq!(reaper.redis_losses(), 1);
}

#[tokio::test]
async fn after_an_outage_of_postgres_nothing_expires_for_one_lease() {
    let world = World::on(Stores::start_apart().await, HEAD_MAX).await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    world.take(WorkerId::new(), 1).await;
    world.let_leases_lapse().await;
    world.stores.database.server().kill();

    let began = Instant::now();
    let reports = reaper.tick().await;
    assert_eq!(failed(&reports), ["promote", "lapse", "cancel", "pauses", "head", "sweep"], "{reports:?}");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the tick must wait for PostgreSQL once, not once for each step: {:?}",
        began.elapsed()
    );

    world.stores.database.server().start_again().expect("PostgreSQL again");
    let back = Instant::now();
    eventually("the lease is expired", SOON, async || {
        let reports = reaper.tick().await;
        match reports.iter().find(|report| report.step == "expire") {
            Some(report) if report.changed == 1 => Ok(()),
            _ => Err(reports),
        }
    })
    .await;
    assert!(back.elapsed() >= QUIET, "the workers had {:?} to renew", back.elapsed());
    assert_eq!(world.state(ids[0]).await, State::Queued);
}

#[tokio::test]
async fn a_frozen_postgres_holds_up_one_call_and_not_the_loop() {
    let world = World::on(Stores::start_apart().await, HEAD_MAX).await;
    let reaper = world.reaper().await;
    let ids = world.enqueue(1).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(reaper.run(stop.clone()));
    world.stores.database.server().freeze();
    world.stores.database.server().thaw();
    eventually("the loop continues", SOON, async || {
        let ready = world.snapshot().await.ready;
        if ready == ids { Ok(()) } else { Err(ready) }
    })
    .await;
    assert_eq!(world.handoff.reapers().await.expect("reapers"), 1);
    stop.cancel();
    running.await.expect("the reaper ends");
    assert_eq!(world.handoff.reapers().await.expect("reapers"), 0, "the reaper must withdraw its announcement");
}

/// PostgreSQL was unavailable, and the next reaper is a new one.
#[tokio::test]
async fn a_reaper_that_starts_after_an_outage_waits_for_one_lease_too() {
    let world = World::start().await;
    let mut before = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    world.take(WorkerId::new(), 1).await;
    before.tick().await;
    drop(before);
    world.let_leases_lapse().await;
    // No reaper has kept watch for a minute.
    world.sql("UPDATE leasehold.watch SET kept_at = now() - interval '1 minute'").await;

    let began = Instant::now();
    let mut fresh = world.new_reaper();
    eventually("the lease is expired", SOON, async || {
        let reports = fresh.tick().await;
        if world.state(ids[0]).await == State::Queued { Ok(()) } else { Err(reports) }
    })
    .await;
    assert!(began.elapsed() >= QUIET, "the workers had {:?} to renew", began.elapsed());
}

#[tokio::test]
async fn a_reaper_that_follows_another_one_expires_at_once() {
    let world = World::start().await;
    let mut before = world.reaper().await;
    let ids = world.enqueue_and_push(1).await;
    world.take(WorkerId::new(), 1).await;
    eventually("the first reaper has recorded that leases may expire", SOON, async || {
        let reports = before.tick().await;
        let said = world.number("SELECT count(*) FROM leasehold.watch WHERE kept_at > now() - interval '150 ms'").await;
        if said == 1 { Ok(()) } else { Err(reports) }
    })
    .await;
    drop(before);
    world.let_leases_lapse().await;
    world.new_reaper().tick().await;
    assert_eq!(world.state(ids[0]).await, State::Queued);
}

/// Doctor runs the steps of a reaper that has just started.
#[tokio::test]
async fn doctor_gives_workers_a_lease_if_no_reaper_was_running() {
    let world = World::start().await;
    let ids = world.enqueue_and_push(1).await;
    world.take(WorkerId::new(), 1).await;
    world.sql("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 minute' WHERE state = 'running'").await;
    let began = Instant::now();
    leasehold_reaper::repair(&world.store, &world.handoff, world.settings()).await.expect("repair");
    assert!(began.elapsed() >= QUIET, "{:?}", began.elapsed());
    assert_eq!(world.state(ids[0]).await, State::Queued);
}
