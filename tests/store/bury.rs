//! bury: running → dead.

use crate::fixture::{Fixture, as_it_is, is_written_once, refuses_jobs_not_running, refuses_stale_fences};
use leasehold_core::{Settle, Settled, State, WorkerId};

fn bury() -> Settle {
    Settle::Bury { error: "never".into() }
}

#[tokio::test]
async fn ends_the_job_with_its_error() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    // PostgreSQL refuses a NUL in text. Such a character must not fail the whole batch.
    assert_eq!(fixture.settle_one(fence, Settle::Bury { error: "a\0b".into() }).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.last_error.as_deref()), (State::Dead, Some("a\u{FFFD}b")));
    assert!(record.finished_at.is_some() && record.result.is_none());
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(bury()).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(bury()).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(bury(), as_it_is).await;
}
