//! retain: partitions made ahead, old ones dropped, the default partition emptied.

use crate::fixture::{Fixture, at_once};
use leasehold_core::{Settle, State, WorkerId};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(7 * 86_400);

async fn partitions(fixture: &Fixture) -> Vec<String> {
    let query = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'leasehold.history'::regclass ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(fixture.pool()).await.expect("partitions")
}

/// As if no reaper had ever run, with this many finished jobs in the default partition.
async fn neglected(fixture: &Fixture, finished: usize) {
    for partition in partitions(fixture).await.iter().filter(|name| *name != "history_default") {
        fixture.sql(format!("DROP TABLE leasehold.{partition}")).await;
    }
    for _ in 0..finished {
        let fence = fixture.running(WorkerId::new()).await;
        fixture.settle_one(fence, Settle::Complete(None)).await;
    }
}

#[tokio::test]
async fn makes_the_days_to_come_and_moves_what_waited_for_them() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 5).await;
    fixture.sql("UPDATE leasehold.history_default SET finished_at = finished_at - interval '2 days' WHERE ctid IN (SELECT ctid FROM leasehold.history_default LIMIT 2)").await;
    let broken: Vec<String> =
        fixture.violations().await.expect("violations").into_iter().map(|one| one.check).collect();
    assert_eq!(broken, ["default_partition_used", "partition_missing", "partition_missing"]);

    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.rows_moved), (5, 5), "today, three more, and the day of the two: {done:?}");
    assert_eq!((done.partitions_dropped, done.rows_deleted), (0, 0));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 5);
    assert!(fixture.violations().await.expect("violations").is_empty());
    let again = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((again.partitions_made, again.rows_moved), (0, 0));
}

/// To move them would lock out everybody who ends a job for as long as it takes.
#[tokio::test]
async fn a_day_with_too_many_jobs_to_be_moved_stays_in_the_default_partition() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 1).await;
    let many = "INSERT INTO leasehold.history_default (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                    max_attempts, state, priority, crashes, max_crashes, queue, kind, payload)
                SELECT gen_random_uuid(), d.run_at, d.created_at, d.started_at, d.finished_at, d.worker, d.epoch, d.attempt,
                       d.max_attempts, d.state, d.priority, d.crashes, d.max_crashes, d.queue, d.kind, d.payload
                FROM leasehold.history_default d, generate_series(1, 10000)";
    fixture.sql(many).await;
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.rows_moved), (3, 0), "the days to come, without today: {done:?}");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 10_001);
    let broken = fixture.violations().await.expect("violations");
    assert!(broken.is_empty(), "nothing is wrong with that: {broken:?}");
    fixture.settle_one(fixture.running(WorkerId::new()).await, Settle::Complete(None)).await;
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 10_002);
}

#[tokio::test]
async fn drops_what_is_older_than_it_is_kept() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 4).await;
    fixture.sql("WITH n AS (SELECT ctid, row_number() OVER () AS n FROM leasehold.history_default)
                 UPDATE leasehold.history_default d SET finished_at = now() - n.n * interval '3 days' FROM n WHERE n.ctid = d.ctid").await;
    fixture.retain(Duration::from_secs(100 * 86_400)).await.expect("retain");
    assert_eq!(partitions(&fixture).await.len(), 9);
    // One that came late, into the default partition.
    fixture.sql("INSERT INTO leasehold.history_default SELECT * FROM leasehold.history LIMIT 0").await;
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.partitions_dropped), (0, 2), "those of 9 and 12 days ago");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 2);
}

#[tokio::test]
async fn deletes_old_rows_of_the_default_partition() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 3).await;
    fixture.sql("UPDATE leasehold.history_default SET finished_at = now() - interval '30 days'").await;
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.rows_deleted, done.rows_moved, done.partitions_made), (3, 0, 4));
}

#[tokio::test]
async fn many_at_once_while_runs_settle_lose_nothing() {
    let fixture = Fixture::with_connections(16).await;
    neglected(&fixture, 20).await;
    let worker = WorkerId::new();
    let mut runs = Vec::new();
    for _ in 0..100 {
        runs.push(fixture.running(worker).await);
    }
    let settling = at_once(runs.iter().map(|fence| fixture.settle_one(*fence, Settle::Complete(None))));
    let retaining = at_once((0..4).map(|_| fixture.retain(KEEP)));
    let (_, retained) = tokio::join!(settling, retaining);
    let made: u32 = retained.into_iter().map(|done| done.expect("retain").partitions_made).sum();
    let last = fixture.retain(KEEP).await.expect("retain").partitions_made;
    assert_eq!(made + last, 4, "each day once");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 120);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 0);
    assert_eq!(fixture.record(runs[7].id).await.state, State::Succeeded);
}

/// Somebody reads history in a long transaction: retention gives up soon and tries again later, and nobody queues up.
#[tokio::test]
async fn gives_way_to_a_long_reader() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 1).await;
    let mut reader = fixture.connection().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM leasehold.history").execute(&mut reader).await.expect("read");
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.rows_moved), (0, 0));
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.expect("commit");
    assert_eq!(fixture.retain(KEEP).await.expect("retain").partitions_made, 4);
}
