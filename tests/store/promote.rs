//! promote: scheduled → queued, when due.

use crate::fixture::{Fixture, concurrently, name, new_job};
use leasehold_core::{NewJob, State};
use leasehold_store::Kinds;
use std::time::Duration;

async fn due(fixture: &Fixture, count: usize) {
    let later = || NewJob { delay: Some(Duration::from_secs(60)), ..new_job() };
    fixture.enqueue(&(0..count).map(|_| later()).collect::<Vec<_>>()).await.expect("enqueue");
    fixture.make_scheduled_due().await;
}

#[tokio::test]
async fn promotes_only_due_jobs() {
    let fixture = Fixture::start().await;
    due(&fixture, 3).await;
    let later = NewJob { delay: Some(Duration::from_secs(60)), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&later)).await.expect("enqueue");
    assert_eq!(fixture.promote(2, None).await.expect("promote").jobs.len(), 2);
    assert_eq!(fixture.promote(2, None).await.expect("promote").jobs.len(), 1);
    assert_eq!(fixture.promote(2, None).await.expect("promote").jobs.len(), 0);
    assert_eq!(fixture.record(later.id).await.state, State::Scheduled);
    assert_eq!(fixture.front(&name("default"), &Kinds::All, 10).await.expect("line").ids().len(), 3);
}

#[tokio::test]
async fn concurrent_calls_promote_each_job_once() {
    let fixture = Fixture::start().await;
    due(&fixture, 200).await;
    let answers = concurrently((0..8).map(|_| fixture.promote(50, None))).await;
    let promoted: usize = answers.into_iter().map(|answer| answer.expect("promote").jobs.len()).sum();
    let rest = fixture.promote(1000, None).await.expect("promote").jobs.len();
    assert_eq!(promoted + rest, 200);
}
