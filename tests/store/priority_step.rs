//! The order of a line by `line_at`, and what a point of priority is worth.

use crate::fixture::{Fixture, LEASE, name, new_job};
use chrono::{TimeDelta, Utc};
use leasehold_core::{JobId, NewJob, WorkerId};
use leasehold_ports::{Kinds, STRICT_PRIORITY_STEP};
use std::time::Duration;

/// A job of this priority that has waited for this many minutes.
async fn waits(fixture: &Fixture, priority: i16, minutes: i64) -> JobId {
    // A time of this machine's clock may be later than the time of the store.
    let run_at = (minutes > 0).then(|| Utc::now() - TimeDelta::minutes(minutes));
    let job = NewJob { priority, run_at, ..new_job() };
    fixture.enqueue(&[job]).await.expect("enqueue")[0].id
}

async fn line(fixture: &Fixture) -> Vec<JobId> {
    fixture.front(&name("default"), &Kinds::All, 100).await.expect("line").ids()
}

#[tokio::test]
async fn a_point_of_priority_is_worth_an_hour_of_waiting_or_what_the_queue_says() {
    let fixture = Fixture::start().await;
    let (old, high, low) = (waits(&fixture, 0, 150).await, waits(&fixture, 2, 0).await, waits(&fixture, -1, 100).await);
    let plain = waits(&fixture, 0, 0).await;
    assert_eq!(line(&fixture).await, [old, high, low, plain], "by default");

    let default = name("default");
    assert_eq!(fixture.set_priority_step(&default, STRICT_PRIORITY_STEP).await.expect("strict"), 2);
    assert_eq!(line(&fixture).await, [high, old, plain, low], "strict");
    assert_eq!(
        fixture.set_priority_step(&default, STRICT_PRIORITY_STEP).await.expect("strict"),
        0,
        "nothing moves twice"
    );
    let (highest, lowest) = (waits(&fixture, 100, 0).await, waits(&fixture, -100, 600_000).await);
    assert_eq!(line(&fixture).await, [highest, high, old, plain, low, lowest], "new jobs go by the step of the queue");

    fixture.set_priority_step(&default, Duration::ZERO).await.expect("no step");
    assert_eq!(line(&fixture).await[..2], [lowest, old], "without a step only the time counts");
    let record = fixture.job(old).await.expect("job").expect("a record");
    assert_eq!(record.priority, 0);
}

#[tokio::test]
async fn a_step_of_one_queue_moves_no_job_of_another() {
    let fixture = Fixture::start().await;
    let (old, high) = (waits(&fixture, 0, 150).await, waits(&fixture, 2, 0).await);
    assert_eq!(fixture.set_priority_step(&name("other"), STRICT_PRIORITY_STEP).await.expect("strict"), 0);
    assert_eq!(line(&fixture).await, [old, high]);
}

#[tokio::test]
async fn a_line_without_hints_is_claimed_in_the_same_order() {
    let fixture = Fixture::start().await;
    let (old, high, plain) = (waits(&fixture, 0, 150).await, waits(&fixture, 2, 0).await, waits(&fixture, 0, 0).await);
    let claimed = fixture.claim_line(WorkerId::new(), &name("default"), &Kinds::All, 9, LEASE, true).await;
    let ids: Vec<JobId> = claimed.expect("claim_line").iter().map(|job| job.fence.id).collect();
    assert_eq!(ids, [old, high, plain]);
}

/// A stream of jobs of the highest priority comes for ten hours, and one job of the lowest priority waits meanwhile. With a step
/// of a minute, their 200 points of difference are worth 200 minutes of waiting and no more.
#[tokio::test]
async fn a_stream_of_the_highest_priority_does_not_starve_the_lowest() {
    let fixture = Fixture::start().await;
    let default = name("default");
    fixture.set_priority_step(&default, Duration::from_secs(60)).await.expect("a minute");
    let lowest = waits(&fixture, -100, 600).await;
    let stream = (0..500).map(|minute| NewJob {
        priority: 100,
        run_at: Some(Utc::now() - TimeDelta::minutes(600 - minute) + TimeDelta::seconds(30)),
        ..new_job()
    });
    fixture.enqueue(&stream.collect::<Vec<_>>()).await.expect("enqueue");
    let mut claimed = Vec::new();
    while !claimed.contains(&lowest) {
        let jobs =
            fixture.claim_line(WorkerId::new(), &default, &Kinds::All, 10, LEASE, true).await.expect("claim_line");
        assert!(!jobs.is_empty(), "the job of the lowest priority was never claimed");
        claimed.extend(jobs.iter().map(|job| job.fence.id));
    }
    assert_eq!(claimed.iter().position(|id| *id == lowest), Some(200));
}

#[tokio::test]
async fn a_job_that_comes_due_stands_by_its_new_time() {
    let fixture = Fixture::start().await;
    let job = NewJob { priority: 2, delay: Some(Duration::from_secs(3600)), ..new_job() };
    let id = fixture.enqueue(&[job]).await.expect("enqueue")[0].id;
    fixture.make_scheduled_due().await;
    let due = fixture.promote(9, None).await.expect("promote").jobs;
    let head_start = fixture.record(id).await.run_at - due[0].line_at;
    assert_eq!((due.len(), head_start, line(&fixture).await), (1, TimeDelta::hours(2), vec![id]));
}
