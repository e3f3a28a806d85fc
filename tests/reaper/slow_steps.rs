//! A step that hangs delays no other step, and a disk that is full expires no healthy runs.

use crate::world::{QUIET, SOON, World, queue, report};
use leasehold_core::{Fence, State, WorkerId};
use leasehold_reaper::{HANDOFF_LEASE, Watch};
use leasehold_store::Kinds;
use leasehold_tests::eventually;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A step that waits for Redis waits two seconds for each command, and retention waits five seconds for a lock. A lease that
/// is expired within this time did not wait for such a step.
const AT_ONCE: Duration = Duration::from_millis(900);

fn runs(watch: &Watch, step: &str) -> u64 {
    watch.totals().steps.get(step).map_or(0, |totals| totals.runs)
}

/// Claims the job for a short time. Returns when its lease ends.
async fn claim_one(world: &World) -> Instant {
    let hints = world.handoff.take(&queue(), &[], &[], 1, HANDOFF_LEASE).await.expect("take");
    let ends = Instant::now() + QUIET;
    let claimed = world.store.claim(WorkerId::new(), &queue(), &hints.ids, &Kinds::All, QUIET).await.expect("claim");
    assert_eq!(claimed.len(), 1);
    ends
}

/// Waits until the lease is expired. Returns how long after its end this was.
async fn expired_after(world: &World, ends: Instant) -> Duration {
    eventually("the lease is expired", SOON, async || {
        let running = world.number("SELECT count(*) FROM leasehold.job WHERE state = 'running'").await;
        if running == 0 { Ok(()) } else { Err(running) }
    })
    .await;
    ends.elapsed()
}

#[tokio::test]
async fn retention_that_waits_for_a_lock_does_not_delay_expire() {
    let world = World::start().await;
    // The partitions exist already, so that only the deletion of old rows waits for the lock.
    world.new_reaper().tick().await;
    world.enqueue_and_push(1).await;
    let mut other = PgConnection::connect(&world.stores.database.url).await.expect("PostgreSQL");
    other
        .execute("BEGIN; LOCK TABLE leasehold.history_default IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("a lock on a partition of history");
    world.store.keep_watch().await.expect("keeping watch");
    let reaper = world.new_reaper();
    let (watch, stop) = (reaper.watch(), CancellationToken::new());
    let running = tokio::spawn(reaper.run(stop.clone()));
    let waits = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 WHERE NOT l.granted AND c.relname = 'history_default'";
    eventually("retention waits for the lock", SOON, async || {
        let waiting = world.number(waits).await;
        if waiting > 0 { Ok(()) } else { Err(watch.totals()) }
    })
    .await;
    let ends = claim_one(&world).await;
    let took = expired_after(&world, ends).await;
    assert_eq!(runs(&watch, "retain"), 0, "retention was still at work");
    assert!(took < AT_ONCE, "expired after {took:?}");
    other.execute("ROLLBACK").await.expect("the lock is gone");
    stop.cancel();
    running.await.expect("the reaper ends");
}

#[tokio::test]
async fn a_redis_that_stalls_does_not_delay_expire() {
    let world = World::start().await;
    world.enqueue_and_push(1).await;
    world.store.keep_watch().await.expect("keeping watch");
    let reaper = world.new_reaper();
    let (watch, stop) = (reaper.watch(), CancellationToken::new());
    let running = tokio::spawn(reaper.run(stop.clone()));
    eventually("the reaper has compared heads", SOON, async || {
        let done = runs(&watch, "head");
        if done > 1 { Ok(()) } else { Err(done) }
    })
    .await;
    let ends = claim_one(&world).await;
    let redis = world.stores.redis.server();
    redis.freeze();
    let took = expired_after(&world, ends).await;
    redis.thaw();
    assert!(took < AT_ONCE, "expired after {took:?}");
    eventually("the hint is back in the head", SOON, async || {
        let head = world.head().await;
        if head.ready == 1 { Ok(()) } else { Err(head) }
    })
    .await;
    stop.cancel();
    running.await.expect("the reaper ends");
}

/// A trigger stands for the disk: statements that change no row succeed, as they do on a full disk.
#[tokio::test]
async fn when_a_full_disk_has_room_again_workers_get_a_lease_to_renew_theirs() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue_and_push(20).await;
    let worker = WorkerId::new();
    let jobs = world.take(worker, 20).await;
    assert_eq!(jobs.len(), 20);
    world
        .sql(
            "CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
             END $$",
        )
        .await;
    world.let_leases_lapse().await;
    world
        .sql("CREATE TRIGGER no_room BEFORE UPDATE ON leasehold.job FOR EACH ROW EXECUTE FUNCTION public.no_room()")
        .await;
    let failed = reaper.tick().await;
    assert!(report(&failed, "expire").error.is_some(), "{failed:?}");
    eventually("expire is tried again", SOON, async || {
        let reports = reaper.tick().await;
        if reports.iter().any(|report| report.step == "expire") { Ok(()) } else { Err(reports) }
    })
    .await;
    world.sql("DROP TRIGGER no_room ON leasehold.job").await;
    let mut expired = 0;
    eventually("one lease shows that there is room", SOON, async || {
        let reports = reaper.tick().await;
        expired += reports.iter().find(|report| report.step == "expire").map_or(0, |report| report.changed);
        if expired > 0 { Ok(()) } else { Err(reports) }
    })
    .await;
    assert_eq!(expired, 1, "of 20 healthy runs");
    let fences: Vec<Fence> = jobs.iter().map(|job| job.fence).collect();
    assert_eq!(world.store.renew(worker, &fences, Duration::from_secs(60)).await.expect("renew").len(), 19);
    eventually("leases may expire", SOON, async || {
        let reports = reaper.tick().await;
        if reports.iter().any(|report| report.step == "expire") { Ok(()) } else { Err(reports) }
    })
    .await;
    let mut running = 0;
    for job in &jobs {
        running += usize::from(world.state(job.fence.id).await == State::Running);
    }
    assert_eq!(running, 19);
}
