//! snooze: running → scheduled, the attempt given back.

use crate::fixture::{Fixture, as_it_is, is_written_once, refuses_jobs_not_running, refuses_stale_fences};
use leasehold_core::{Settle, Settled, State, WorkerId};
use std::time::Duration;

fn snooze() -> Settle {
    Settle::Snooze { delay: Duration::from_secs(5), reason: Some("busy".into()) }
}

#[tokio::test]
async fn gives_the_attempt_back_even_the_last_one() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.set_max_attempts(fence.id, 1).await;
    assert_eq!(fixture.settle_one(fence, snooze()).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.attempt, record.epoch, record.last_error), (State::Scheduled, 0, 1, None));
    assert_eq!((record.trail[0].verb.as_str(), record.trail[0].note.as_deref()), ("snooze", Some("busy")));
    assert_eq!(record.run_at - record.trail[0].at, chrono::TimeDelta::seconds(5));
}

#[tokio::test]
async fn is_refused_when_a_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.cancel(&[fence.id]).await.expect("cancel");
    assert_eq!(fixture.settle_one(fence, snooze()).await, Settled::CancelWanted);
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(snooze()).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(snooze()).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(snooze(), as_it_is).await;
}
