//! cancel_run: running → cancelled, by the worker that stopped the run.

use crate::fixture::{Fixture, is_written_once, refuses_jobs_not_running, refuses_stale_fences};
use leasehold_core::{Settle, Settled, State, WorkerId};

#[tokio::test]
async fn ends_only_a_run_whose_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(fence, Settle::Cancel).await, Settled::LeaseLost);
    assert_eq!(fixture.record(fence.id).await.state, State::Running);
    fixture.cancel(&[fence.id]).await.expect("cancel");
    assert_eq!(fixture.settle_one(fence, Settle::Cancel).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.cancel_requested_at), (State::Cancelled, None));
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(Settle::Cancel).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(Settle::Cancel).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(Settle::Cancel, async |fixture, fence| {
        fixture.cancel(&[fence.id]).await.expect("cancel");
    })
    .await;
}
