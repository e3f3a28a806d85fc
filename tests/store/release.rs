//! release: running → queued. The attempt is given back, and the position in the line is kept.

use crate::fixture::{Fixture, as_it_is, is_written_once, name, refuses_jobs_not_running, refuses_stale_fences};
use leasehold_core::{Settle, Settled, State, WorkerId};
use leasehold_store::Kinds;

#[tokio::test]
async fn returns_to_its_old_position() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    let later = fixture.queued().await;
    assert_eq!(fixture.settle_one(fence, Settle::Release).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.attempt, record.epoch, record.worker), (State::Queued, 0, 1, None));
    let line = fixture.front(&name("default"), &Kinds::All, 10).await.expect("line");
    assert_eq!(line.ids(), [fence.id, later]);
}

#[tokio::test]
async fn is_refused_when_a_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.cancel(&[fence.id]).await.expect("cancel");
    assert_eq!(fixture.settle_one(fence, Settle::Release).await, Settled::CancelWanted);
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(Settle::Release).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(Settle::Release).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(Settle::Release, as_it_is).await;
}
