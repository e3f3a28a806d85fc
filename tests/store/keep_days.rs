//! The retention of single queues: their finished jobs are kept for a shorter or a longer time than the retention of
//! the fleet says.

use crate::fixture::{Fixture, concurrently, name};
use leasehold_store::QueueChange;
use leasehold_tests::eventually;
use std::{collections::BTreeMap, time::Duration};

const SOON: Duration = Duration::from_secs(30);
/// The retention of the fleet.
const KEEP: Duration = Duration::from_secs(7 * 86_400);

async fn keep_for(fixture: &Fixture, queue: &str, days: Option<u16>) {
    let change = QueueChange { dead_letter: None, keep_days: Some(days), fair: None };
    fixture.set_queue(&name(queue), &change).await.expect("setting the retention");
}

/// Finished jobs of each queue, on each of the last days, in partitions.
async fn fill(fixture: &Fixture, queues: &[&str], days: u32, each: u32) {
    for ago in 1..=days {
        let day = format!("((now() AT TIME ZONE 'UTC')::date - {ago})");
        fixture.sql(format!("SELECT leasehold.make_partition({day})")).await;
        for queue in queues {
            fixture
                .sql(format!(
                    "INSERT INTO leasehold.history (id, run_at, created_at, finished_at, worker, epoch, attempt, max_attempts,
                                                    crashes, max_crashes, state, priority, queue, kind, payload)
                     SELECT gen_random_uuid(), t.at, t.at, t.at, gen_random_uuid(), 1, 1, 5, 0, 3, 'succeeded', 0, '{queue}', 'k', '1'
                     FROM generate_series(1, {each}), (SELECT {day}::timestamp AT TIME ZONE 'UTC' + interval '1 hour' AS at) t"
                ))
                .await;
        }
    }
}

/// For each queue, how many days ago its oldest finished job finished, and how many finished jobs it has.
async fn kept(fixture: &Fixture) -> BTreeMap<String, (i32, i64)> {
    let query = "SELECT queue, (now() AT TIME ZONE 'UTC')::date - (min(finished_at) AT TIME ZONE 'UTC')::date, count(*)
                 FROM leasehold.history GROUP BY queue";
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(query).fetch_all(fixture.pool()).await.expect("history");
    rows.into_iter().map(|(queue, oldest, count)| (queue, (oldest, count))).collect()
}

/// Runs `retain` until finished jobs are kept as wanted, and returns how many partitions were dropped. One step leaves what other
/// sessions use at that moment (autovacuum, for one) to the next step.
async fn retain_until(fixture: &Fixture, wanted: &[(&str, i32, i64)]) -> u32 {
    let mut dropped = 0;
    eventually("finished jobs are kept as wanted", SOON, async || {
        dropped += fixture.retain(KEEP).await.expect("retain").partitions_dropped;
        let kept = kept(fixture).await;
        if kept == of(wanted) { Ok(()) } else { Err(kept) }
    })
    .await;
    dropped
}

fn of(kept: &[(&str, i32, i64)]) -> BTreeMap<String, (i32, i64)> {
    kept.iter().map(|(queue, oldest, count)| ((*queue).to_owned(), (*oldest, *count))).collect()
}

#[tokio::test]
async fn a_queue_keeps_its_jobs_for_a_shorter_and_another_for_a_longer_time() {
    let fixture = Fixture::start().await;
    fill(&fixture, &["short", "plain", "long"], 12, 3).await;
    keep_for(&fixture, "short", Some(2)).await;
    keep_for(&fixture, "long", Some(10)).await;
    // A day is deleted when all of it is older than that.
    retain_until(&fixture, &[("short", 2, 6), ("plain", 7, 21), ("long", 10, 30)]).await;
    let again = fixture.retain(KEEP).await.expect("retain");
    assert_eq!((again.rows_deleted, again.partitions_dropped), (0, 0), "nothing is left to do");
    assert!(fixture.violations().await.expect("violations").is_empty());

    // As the fleet again: the partitions that were kept for this queue alone go as a whole.
    keep_for(&fixture, "long", None).await;
    assert_eq!(retain_until(&fixture, &[("short", 2, 6), ("plain", 7, 21), ("long", 7, 21)]).await, 3);
    keep_for(&fixture, "plain", Some(1)).await;
    retain_until(&fixture, &[("short", 2, 6), ("plain", 1, 3), ("long", 7, 21)]).await;
}

#[tokio::test]
async fn a_day_with_more_jobs_than_a_page_is_emptied_by_several_reapers_at_once() {
    let fixture = Fixture::start().await;
    fill(&fixture, &["short", "plain"], 2, 6_000).await;
    keep_for(&fixture, "short", Some(1)).await;
    let done = concurrently((0..3).map(|_| fixture.retain(KEEP))).await;
    let deleted: u64 = done.into_iter().map(|done| done.expect("retain").rows_deleted).sum();
    assert_eq!((deleted, kept(&fixture).await), (6_000, of(&[("short", 1, 6_000), ("plain", 2, 12_000)])));
}

#[tokio::test]
async fn the_default_partition_goes_by_the_queue_too() {
    let fixture = Fixture::start().await;
    fill(&fixture, &["short", "plain"], 1, 1).await;
    fixture
        .sql(
            "INSERT INTO leasehold.history_default
             SELECT (jsonb_populate_record(h, jsonb_build_object('finished_at', now() - interval '3 days'))).* FROM leasehold.history h",
        )
        .await;
    keep_for(&fixture, "short", Some(2)).await;
    retain_until(&fixture, &[("short", 1, 1), ("plain", 3, 2)]).await;
}
