//! A transaction locks the row of a running job for longer than its lease.

use crate::world::{QUIET, SOON, World, queue, report};
use leasehold_core::{ClaimedJob, State, WorkerId};
use leasehold_reaper::Reaper;
use leasehold_store::Kinds;
use leasehold_tests::eventually;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A running job with this lease, a transaction that has locked its row, and a reaper that may expire leases.
async fn start(lease: Duration) -> (World, Reaper, ClaimedJob, PgConnection) {
    let world = World::start().await;
    let reaper = world.reaper().await;
    let id = world.enqueue_and_push(1).await[0];
    let job = world.take(WorkerId::new(), 1).await.remove(0);
    world.store.renew(job.fence.worker, &[job.fence], lease).await.expect("renew");
    let mut other = PgConnection::connect(&world.stores.database.url).await.expect("PostgreSQL");
    other.execute(AssertSqlSafe(format!("BEGIN; SELECT leasehold.cancel('{id}')"))).await.expect("a cancel");
    (world, reaper, job, other)
}

async fn tick_until(reaper: &mut Reaper, time: Instant) {
    while Instant::now() < time {
        assert_eq!(report(&reaper.tick().await, "expire").changed, 0);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The heartbeats of these tests are 250 ms apart: a twelfth of `QUIET`.
#[tokio::test]
async fn after_a_lock_the_worker_has_two_heartbeats_to_renew_the_lease() {
    let (world, mut reaper, job, mut other) = start(Duration::from_millis(100)).await;
    tick_until(&mut reaper, Instant::now() + Duration::from_millis(400)).await;
    other.execute("ROLLBACK").await.expect("the lock is gone");
    let unlocked = Instant::now();
    tick_until(&mut reaper, unlocked + QUIET / 6).await;
    let renewed = world.store.renew(job.fence.worker, &[job.fence], Duration::from_secs(60)).await.expect("renew");
    assert_eq!(renewed.len(), 1);
    tick_until(&mut reaper, unlocked + QUIET).await;
    let row = world.store.job(job.fence.id).await.expect("job").expect("the job exists");
    assert_eq!((row.state, row.epoch, row.crashes), (State::Running, 1, 0));
}

/// The lock ends just before the lease does, so no look finds a lease that has run out under a lock.
#[tokio::test]
async fn the_worker_has_the_same_time_if_the_lock_ends_before_the_lease() {
    let (world, mut reaper, job, mut other) = start(Duration::from_millis(200)).await;
    reaper.tick().await;
    let lease_ends = Instant::now() + Duration::from_millis(200);
    while Instant::now() < lease_ends - Duration::from_millis(20) {
        reaper.tick().await;
    }
    other.execute("ROLLBACK").await.expect("the lock is gone");
    let unlocked = Instant::now();
    tick_until(&mut reaper, unlocked + QUIET / 6).await;
    assert_eq!(world.state(job.fence.id).await, State::Running);
}

#[tokio::test]
async fn after_a_lock_the_run_of_a_dead_worker_expires_soon() {
    let (world, mut reaper, job, mut other) = start(Duration::from_millis(1)).await;
    tick_until(&mut reaper, Instant::now() + Duration::from_millis(200)).await;
    other.execute("ROLLBACK").await.expect("the lock is gone");
    let unlocked = Instant::now();
    eventually("the run is expired", SOON, async || {
        let reports = reaper.tick().await;
        if world.state(job.fence.id).await == State::Queued { Ok(()) } else { Err(reports) }
    })
    .await;
    assert!(unlocked.elapsed() < Duration::from_secs(5), "{:?}", unlocked.elapsed());
}

#[tokio::test]
async fn a_locked_row_keeps_no_other_run_from_being_expired() {
    let (world, mut reaper, job, mut other) = start(Duration::from_millis(1)).await;
    reaper.tick().await;
    let dead = world.enqueue_and_push(1).await[0];
    world.take(WorkerId::new(), 1).await;
    world
        .sql(format!("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 second' WHERE id = '{dead}'"))
        .await;
    reaper.tick().await;
    assert_eq!((world.state(dead).await, world.state(job.fence.id).await), (State::Queued, State::Running));
    other.execute("COMMIT").await.expect("the cancel");
    eventually("the run of the dead worker is cancelled", SOON, async || {
        let reports = reaper.tick().await;
        if world.state(job.fence.id).await == State::Cancelled { Ok(()) } else { Err(reports) }
    })
    .await;
}

/// The tables of the statement that expires a lease: the jobs, the notes of their numbers, the deferred results, and where a job
/// goes that has crashed too often.
const NEEDED: [&str; 7] = ["count_change", "dead_letter", "deferred_settle", "history", "job", "job_noted", "queue"];

/// Expires a lease while another session has locked a table. Returns whether that took too long.
async fn is_stopped_by_a_lock(world: &World, table: &str) -> bool {
    let mut other = PgConnection::connect(&world.stores.database.url).await.expect("PostgreSQL");
    let ids = world.enqueue(1).await;
    let lease = Duration::from_millis(250);
    let claimed = world.store.claim(WorkerId::new(), &queue(), &ids, &Kinds::All, lease).await.expect("a claim");
    assert_eq!(claimed.len(), 1, "{table}");
    other.execute(AssertSqlSafe(format!("BEGIN; LOCK TABLE leasehold.{table}"))).await.expect("the table is locked");
    let ended = tokio::time::timeout(Duration::from_secs(6), async {
        while world.number("SELECT count(*) FROM leasehold.job WHERE state = 'running'").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let is_stopped = ended.await.is_err();
    other.execute("ROLLBACK").await.expect("the lock is gone");
    world.sql("DELETE FROM leasehold.job").await;
    is_stopped
}

/// `VACUUM FULL`, or a change of the schema, of any table that the statement itself does not need.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_another_table_keeps_no_run_from_being_expired() {
    let world = World::start().await;
    world.store.keep_watch().await.expect("keeping watch");
    let (reaper, stop) = (world.new_reaper(), CancellationToken::new());
    let watch = reaper.watch();
    tokio::spawn(reaper.run(stop.clone()));
    eventually("the reaper may expire", SOON, async || {
        if watch.totals().steps.contains_key("expire") { Ok(()) } else { Err(()) }
    })
    .await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         ORDER BY c.relname",
    )
    .fetch_all(world.store.pool())
    .await
    .expect("the tables");
    let others: Vec<&String> = tables.iter().filter(|table| !NEEDED.contains(&table.as_str())).collect();
    assert_eq!(others.len() + NEEDED.len(), tables.len(), "{tables:?}");
    let mut stopped = Vec::new();
    for table in others {
        if is_stopped_by_a_lock(&world, table).await {
            stopped.push(table);
        }
    }
    assert!(stopped.is_empty(), "a lock on one of these tables stopped the reaper: {stopped:?}");
    stop.cancel();
}

/// A lock on the whole table holds up the reaper and the workers. After the lock, the workers renew their leases first.
#[tokio::test]
async fn a_lock_on_the_whole_table_expires_nothing() {
    let (world, mut reaper, job, mut other) = start(Duration::from_millis(100)).await;
    other.execute("ROLLBACK; BEGIN; LOCK TABLE leasehold.job").await.expect("the table is locked");
    let watch = tokio::sync::Mutex::new(PgConnection::connect(&world.stores.database.url).await.expect("PostgreSQL"));
    let unlocked = std::cell::Cell::new(None);
    let unlock = async {
        // The statement of the reaper has waited for more than half a lease, and for longer than the lease of the job.
        eventually("the reaper waits", SOON, async || {
            let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '-- %'
                         AND query_start < clock_timestamp() - interval '1700 milliseconds'";
            let waiting = watch.lock().await.fetch_optional(waits).await.expect("a look");
            if waiting.is_some() { Ok(()) } else { Err(()) }
        })
        .await;
        other.execute("ROLLBACK").await.expect("the lock is gone");
        unlocked.set(Some(Instant::now()));
    };
    let ticks = async {
        while unlocked.get().is_none_or(|at| at.elapsed() < QUIET / 4) {
            reaper.tick().await;
        }
    };
    tokio::join!(unlock, ticks);
    let renewed = world.store.renew(job.fence.worker, &[job.fence], Duration::from_secs(60)).await.expect("renew");
    assert_eq!(renewed.len(), 1, "no reaper may have expired the lease, although it has run out");
    let row = world.store.job(job.fence.id).await.expect("job").expect("the job exists");
    assert_eq!((row.state, row.epoch, row.crashes), (State::Running, 1, 0));
}
