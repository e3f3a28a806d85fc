//! retry: running → scheduled, the attempt spent.

use crate::fixture::{Fixture, as_it_is, is_written_once, refuses_jobs_not_running, refuses_stale_fences, retry};
use leasehold_core::{Settle, Settled, State, WorkerId};
use std::time::Duration;

#[tokio::test]
async fn waits_for_its_delay_and_keeps_the_error() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    let settle = Settle::Retry { delay: Duration::from_secs(60), error: "it failed".into() };
    assert_eq!(fixture.settle_one(fence, settle).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.attempt, record.epoch), (State::Scheduled, 1, 1));
    assert_eq!((record.worker, record.lease_expires_at), (None, None));
    assert_eq!(record.last_error.as_deref(), Some("it failed"));
    let entry = &record.trail[0];
    assert_eq!((entry.verb.as_str(), entry.epoch, entry.worker), ("retry", 1, Some(worker)));
    assert_eq!((entry.note.as_deref(), record.run_at - entry.at), (Some("it failed"), chrono::TimeDelta::seconds(60)));
}

#[tokio::test]
async fn an_endless_delay_is_limited_to_the_range_of_times() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    let settle = Settle::Retry { delay: Duration::MAX, error: String::new() };
    assert_eq!(fixture.settle_one(fence, settle).await, Settled::Done);
}

#[tokio::test]
async fn is_refused_without_an_attempt_left() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.set_max_attempts(fence.id, 1).await;
    assert_eq!(fixture.settle_one(fence, retry()).await, Settled::LeaseLost);
    assert_eq!(fixture.record(fence.id).await.state, State::Running);
}

#[tokio::test]
async fn is_refused_when_a_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.cancel(&[fence.id]).await.expect("cancel");
    assert_eq!(fixture.settle_one(fence, retry()).await, Settled::CancelWanted);
    assert_eq!(fixture.record(fence.id).await.state, State::Running);
}

/// The answer was lost, and the job has moved on since: the repeated settle still gets `Already`.
#[tokio::test]
async fn is_recognized_again_however_far_the_job_has_moved_on() {
    let fixture = Fixture::start().await;
    let first = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(first, retry()).await, Settled::Done);
    fixture.promote(10, None).await.expect("promote");
    assert_eq!(fixture.settle_one(first, retry()).await, Settled::Already);
    let second = fixture.claim_one(WorkerId::new(), first.id).await.fence;
    assert_eq!(fixture.settle_one(first, retry()).await, Settled::Already);
    assert_eq!(fixture.settle_one(second, Settle::Complete(None)).await, Settled::Done);
    assert_eq!(fixture.settle_one(first, retry()).await, Settled::Already);
    assert_eq!(fixture.settle_one(first, Settle::Release).await, Settled::LeaseLost);
}

#[tokio::test]
async fn the_trail_keeps_the_newest_twenty() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let id = fixture.queued().await;
    fixture.set_max_attempts(id, 100).await;
    for _ in 0..23 {
        let fence = fixture.claim_one(worker, id).await.fence;
        assert_eq!(fixture.settle_one(fence, retry()).await, Settled::Done);
        fixture.promote(1, None).await.expect("promote");
    }
    let epochs: Vec<i32> = fixture.record(id).await.trail.iter().map(|entry| entry.epoch).collect();
    assert_eq!(epochs, (4..=23).collect::<Vec<i32>>());
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(retry()).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(retry()).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(retry(), as_it_is).await;
}
