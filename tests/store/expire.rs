//! expire: ends runs whose leases ran out.

use crate::fixture::{Fixture, concurrently};
use leasehold_core::{State, WorkerId};

#[tokio::test]
async fn counts_a_crash_and_keeps_the_position_in_the_line() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    let stands = fixture.running(worker).await;
    let before = fixture.record(fence.id).await;
    fixture.end_lease(fence.id).await;
    let expired = fixture.expire(10, None).await.expect("expire");
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].id, expired[0].worker, expired[0].epoch), (fence.id, worker, 1));
    assert_eq!(expired[0].state, State::Queued);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.attempt, record.crashes, record.run_at), (State::Queued, 1, 1, before.run_at));
    assert_eq!((record.trail[0].verb.as_str(), record.trail[0].worker), ("expire", Some(worker)));
    assert_eq!(fixture.record(stands.id).await.state, State::Running);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_dies() {
    let fixture = Fixture::start().await;
    let id = fixture.queued().await;
    for crash in 1..=3 {
        fixture.claim_one(WorkerId::new(), id).await;
        fixture.end_lease(id).await;
        let expected = if crash < 3 { State::Queued } else { State::Dead };
        assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, expected);
    }
    let record = fixture.record(id).await;
    assert_eq!((record.state, record.crashes, record.attempt), (State::Dead, 3, 3));
    assert_eq!(record.last_error.as_deref(), Some("its lease ran out 3 times, as often as is allowed"));
}

#[tokio::test]
async fn after_the_last_attempt_the_job_is_dead_and_if_a_cancel_was_wanted_cancelled() {
    let fixture = Fixture::start().await;
    let (last, wanted) = (fixture.running(WorkerId::new()).await, fixture.running(WorkerId::new()).await);
    fixture.set_max_attempts(last.id, 1).await;
    fixture.cancel(&[wanted.id]).await.expect("cancel");
    fixture.end_lease(last.id).await;
    fixture.end_lease(wanted.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 2);
    assert_eq!(fixture.record(last.id).await.state, State::Dead);
    assert_eq!(fixture.record(wanted.id).await.state, State::Cancelled);
}

#[tokio::test]
async fn concurrent_calls_expire_each_lease_once() {
    let fixture = Fixture::start().await;
    let mut runs = Vec::new();
    for _ in 0..40 {
        runs.push(fixture.running(WorkerId::new()).await);
    }
    for run in &runs {
        fixture.end_lease(run.id).await;
    }
    let answers = concurrently((0..8).map(|_| fixture.expire(10, None))).await;
    let expired: usize = answers.into_iter().map(|answer| answer.expect("expire").len()).sum();
    assert_eq!(expired + fixture.expire(100, None).await.expect("expire").len(), 40);
    for run in runs {
        assert_eq!(fixture.record(run.id).await.crashes, 1);
    }
}
