//! unblock: blocked → queued.

use crate::fixture::{Fixture, concurrently};
use leasehold_core::{JobId, State};

#[tokio::test]
async fn moves_only_blocked_jobs_and_each_once() {
    let fixture = Fixture::start().await;
    let (blocked, queued) = (fixture.queued().await, fixture.queued().await);
    fixture.block(blocked).await;
    let ids = [queued, blocked, JobId::new(), blocked];
    let answers = concurrently((0..4).map(|_| fixture.unblock(&ids))).await;
    let unblocked: Vec<JobId> =
        answers.into_iter().flat_map(|answer| answer.expect("unblock")).map(|job| job.id).collect();
    assert_eq!(unblocked, [blocked]);
    assert_eq!(fixture.record(blocked).await.state, State::Queued);
    fixture.keeps_the_invariants().await;
}
