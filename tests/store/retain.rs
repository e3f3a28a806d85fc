//! retain: creates partitions ahead of time, drops old ones, empties the default partition.

use crate::fixture::{Fixture, concurrently};
use leasehold_core::{Settle, State, WorkerId};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(7 * 86_400);

async fn partitions(fixture: &Fixture) -> Vec<String> {
    let query = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'leasehold.history'::regclass ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(fixture.pool()).await.expect("partitions")
}

/// The state as if no reaper had ever run: this many finished jobs are in the default partition.
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
async fn creates_partitions_for_the_coming_days_and_moves_their_jobs() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 5).await;
    fixture.sql("UPDATE leasehold.history_default SET finished_at = finished_at - interval '2 days' WHERE ctid IN (SELECT ctid FROM leasehold.history_default LIMIT 2)").await;
    let broken: Vec<String> =
        fixture.violations().await.expect("violations").into_iter().map(|one| one.check).collect();
    assert_eq!(broken, ["default_partition_used", "partition_missing", "partition_missing"]);

    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!(
        (done.partitions_made, done.rows_moved),
        (5, 5),
        "today, three more days, and the day of the two jobs: {done:?}"
    );
    assert_eq!((done.partitions_dropped, done.rows_deleted), (0, 0));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 5);
    assert!(fixture.violations().await.expect("violations").is_empty());
    let again = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((again.partitions_made, again.rows_moved), (0, 0));
}

/// Moving so many jobs would block all sessions that end a job until the move is done.
#[tokio::test]
async fn a_day_with_too_many_jobs_to_move_stays_in_the_default_partition() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 1).await;
    let many = "INSERT INTO leasehold.history_default (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                    max_attempts, state, priority, crashes, max_crashes, queue, kind, payload)
                SELECT gen_random_uuid(), d.run_at, d.created_at, d.started_at, d.finished_at, d.worker, d.epoch, d.attempt,
                       d.max_attempts, d.state, d.priority, d.crashes, d.max_crashes, d.queue, d.kind, d.payload
                FROM leasehold.history_default d, generate_series(1, 10000)";
    fixture.sql(many).await;
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.rows_moved), (3, 0), "the coming days, without today: {done:?}");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 10_001);
    let broken = fixture.violations().await.expect("violations");
    assert!(broken.is_empty(), "this must not be a violation: {broken:?}");
    fixture.settle_one(fixture.running(WorkerId::new()).await, Settle::Complete(None)).await;
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 10_002);
}

#[tokio::test]
async fn drops_partitions_older_than_the_retention() {
    let fixture = Fixture::start().await;
    neglected(&fixture, 4).await;
    fixture.sql("WITH n AS (SELECT ctid, row_number() OVER () AS n FROM leasehold.history_default)
                 UPDATE leasehold.history_default d SET finished_at = now() - n.n * interval '3 days' FROM n WHERE n.ctid = d.ctid").await;
    fixture.retain(Duration::from_secs(100 * 86_400)).await.expect("retain");
    assert_eq!(partitions(&fixture).await.len(), 9);
    // An insert of no rows: the default partition still accepts inserts.
    fixture.sql("INSERT INTO leasehold.history_default SELECT * FROM leasehold.history LIMIT 0").await;
    let done = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((done.partitions_made, done.partitions_dropped), (0, 2), "the partitions of 9 and 12 days ago");
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
async fn concurrent_calls_lose_nothing_while_runs_settle() {
    let fixture = Fixture::with_connections(16).await;
    neglected(&fixture, 20).await;
    let worker = WorkerId::new();
    let mut runs = Vec::new();
    for _ in 0..100 {
        runs.push(fixture.running(worker).await);
    }
    let settling = concurrently(runs.iter().map(|fence| fixture.settle_one(*fence, Settle::Complete(None))));
    let retaining = concurrently((0..4).map(|_| fixture.retain(KEEP)));
    let (_, retained) = tokio::join!(settling, retaining);
    let made: u32 = retained.into_iter().map(|done| done.expect("retain").partitions_made).sum();
    let last = fixture.retain(KEEP).await.expect("retain").partitions_made;
    assert_eq!(made + last, 4, "each day must be created once");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history").await, 120);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.history_default").await, 0);
    assert_eq!(fixture.record(runs[7].id).await.state, State::Succeeded);
}

/// A long transaction reads history: retention gives up soon and tries again later, and no session queues behind it.
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
