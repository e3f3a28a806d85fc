//! The minutes of the last day: what a roll-up adds up is what the rows of history say.

use crate::fixture::{Fixture, name};
use leasehold_store::QueueTimes;

/// Ended jobs: queue, state, how many, how many minutes ago they ended, and how long they waited and ran, in ms. A negative wait: the job
/// has never begun.
const ENDED: [(&str, &str, i32, i32, i32, i32); 8] = [
    ("a", "succeeded", 90, 3, 10, 100),
    ("a", "succeeded", 10, 3, 1_000, 60_000),
    ("a", "dead", 2, 3, 10, 100),
    ("a", "cancelled", 5, 3, -1, 0),
    ("a", "succeeded", 7, 5, 0, 0),
    ("b", "succeeded", 1, 3, 3_600_000, 1),
    // None of these has begun.
    ("d", "cancelled", 3, 4, -1, 0),
    // The current minute is not over.
    ("c", "succeeded", 1, 0, 10, 0),
];

/// Writes ended jobs into history.
async fn end(fixture: &Fixture, (queue, state, jobs, minutes_ago, wait_ms, run_ms): (&str, &str, i32, i32, i32, i32)) {
    let begun = if wait_ms < 0 { "NULL" } else { "at" };
    fixture
        .sql(&format!(
            "INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt, max_attempts,
                                            state, priority, crashes, max_crashes, queue, kind, payload)
             SELECT leasehold.new_id(), at - {wait_ms} * interval '1 ms', at, {begun}, at + {run_ms} * interval '1 ms',
                    gen_random_uuid(), 1, 1, 5, '{state}', 0, 0, 3, '{queue}', 'k', '{{}}'
             FROM (SELECT date_trunc('minute', now()) - interval '{minutes_ago} minutes' - {run_ms} * interval '1 ms'
                          + interval '1 s' AS at) t
             CROSS JOIN generate_series(1, {jobs})"
        ))
        .await;
}

fn ended(times: &QueueTimes) -> (&str, i64, i64, i64) {
    (&times.queue, times.succeeded, times.dead, times.cancelled)
}

#[tokio::test]
async fn minutes_are_added_up_once_and_say_what_history_says() {
    let fixture = Fixture::start().await;
    for jobs in ENDED {
        end(&fixture, jobs).await;
    }
    let mut added = 0;
    for _ in 0..8 {
        added += fixture.roll_up_minutes().await.expect("a roll-up");
    }
    assert_eq!(added, 4, "two minutes of a, and one of b and of d");
    let all = fixture.queue_times(None, 60, false).await.expect("times");
    assert_eq!(all.iter().map(ended).collect::<Vec<_>>(), [("a", 107, 2, 5), ("b", 1, 0, 0), ("d", 0, 0, 3)]);
    assert_eq!((all[2].wait_ms, all[2].run_ms), (None, None), "jobs that never began have no times");
    let near =
        |found: f64, right: f64| assert!((found - right).abs() <= right * 0.06, "{found} is not near {right}: {all:?}");
    let (wait, run) = (all[0].wait_ms.expect("waits"), all[0].run_ms.expect("runs"));
    near(wait.p50, 10.0);
    near(wait.p99, 1_000.0);
    near(run.p50, 100.0);
    near(run.p95, 60_000.0);
    near(all[1].wait_ms.expect("waits").p50, 3_600_000.0);

    let each = fixture.queue_times(Some(&name("a")), 60, true).await.expect("times");
    assert_eq!(each.iter().map(ended).collect::<Vec<_>>(), [("a", 7, 0, 0), ("a", 100, 2, 5)]);
    assert!(each[0].minute < each[1].minute, "{each:?}");
    let last = fixture.queue_times(Some(&name("a")), 3, false).await.expect("times");
    assert_eq!(last.iter().map(ended).collect::<Vec<_>>(), [("a", 100, 2, 5)], "the minutes before are left out");
    assert!(fixture.queue_times(Some(&name("c")), 60, false).await.expect("times").is_empty());

    // A day later the minutes are gone, and the day without a roll-up is left out.
    fixture.sql("UPDATE leasehold.minute SET begins = begins - interval '25 hours'").await;
    fixture.sql("UPDATE leasehold.minutes_until SET until = until - interval '25 hours'").await;
    assert_eq!(fixture.roll_up_minutes().await.expect("a roll-up"), 0);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.minute").await, 0);
    let behind = "SELECT extract(epoch FROM now() - until)::bigint / 60 FROM leasehold.minutes_until";
    let behind = fixture.number(behind).await;
    assert!((48..=52).contains(&behind), "an hour less ten minutes, and not a day: {behind}");
}

#[tokio::test]
async fn a_job_that_was_due_at_no_time_is_added_up_too() {
    let fixture = Fixture::start().await;
    end(&fixture, ("a", "succeeded", 2, 3, 10, 10)).await;
    fixture.sql("UPDATE leasehold.history SET run_at = '-infinity' WHERE id = (SELECT min(id::text)::uuid FROM leasehold.history)").await;
    for _ in 0..8 {
        fixture.roll_up_minutes().await.expect("a roll-up");
    }
    let times = fixture.queue_times(None, 60, false).await.expect("times");
    assert_eq!(times.iter().map(ended).collect::<Vec<_>>(), [("a", 2, 0, 0)]);
}
