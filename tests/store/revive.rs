//! revive: finished → queued.

use crate::fixture::{Fixture, concurrently, neutral, new_job, retry};
use leasehold_core::{JobId, NewJob, Settle, State, WorkerId};
use leasehold_ports::{Class, Error};

/// The store refused to revive this job, because a live one has its unique key.
fn assert_key_is_taken(refused: impl Into<Error>, id: JobId) {
    let refused = neutral(refused);
    assert_eq!(refused.class, Class::Refused, "{refused}");
    assert_eq!(refused.to_string(), format!("the unique key of {id} is taken by a live job"));
}

#[tokio::test]
async fn gives_new_attempts_and_keeps_epoch_and_trail() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    fixture.settle_one(fence, Settle::Bury { error: "never".into() }).await;
    let revived = fixture.revive(&[fence.id, JobId::new()]).await.expect("revive");
    assert_eq!(revived.iter().map(|job| job.id).collect::<Vec<_>>(), [fence.id]);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.attempt, record.crashes, record.epoch), (State::Queued, 0, 0, 1));
    assert_eq!((record.finished_at, record.last_error.as_deref()), (None, Some("never")));
    let entry = &record.trail[0];
    assert_eq!((entry.verb.as_str(), entry.note.as_deref()), ("revive", Some("was dead")));
    assert_eq!(fixture.claim_one(worker, fence.id).await.fence.epoch, 2);
}

#[tokio::test]
async fn moves_a_scheduled_job_into_the_line_and_leaves_queued_and_running_ones() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (queued, running, scheduled) =
        (fixture.queued().await, fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(scheduled, retry()).await;
    let revived = fixture.revive(&[queued, running.id, scheduled.id]).await.expect("revive");
    assert_eq!(revived.iter().map(|job| job.id).collect::<Vec<_>>(), [scheduled.id]);
    let record = fixture.record(scheduled.id).await;
    assert_eq!((record.state, record.attempt), (State::Queued, 1), "the spent attempt must stay spent");
}

#[tokio::test]
async fn is_refused_while_its_unique_key_is_taken() {
    let fixture = Fixture::start().await;
    let job = || NewJob { unique_key: Some("key".into()), ..new_job() };
    let (first, second) = (job(), job());
    fixture.enqueue(std::slice::from_ref(&first)).await.expect("enqueue");
    fixture.cancel(&[first.id]).await.expect("cancel");
    fixture.enqueue(std::slice::from_ref(&second)).await.expect("enqueue");
    let other = fixture.queued().await;
    fixture.cancel(&[other]).await.expect("cancel");
    let refused = fixture.revive(&[other, first.id]).await.expect_err("the key is taken");
    assert_key_is_taken(refused, first.id);
    assert_eq!(fixture.record(other).await.state, State::Cancelled, "nothing was changed");
    fixture.cancel(&[second.id]).await.expect("cancel");
    let refused = fixture.revive(&[first.id, second.id]).await.expect_err("one of them only");
    assert_key_is_taken(refused, second.id.max(first.id));
    assert_eq!(fixture.revive(&[first.id, other]).await.expect("revive").len(), 2);
}

#[tokio::test]
async fn concurrent_revives_have_one_winner_and_so_have_revive_and_enqueue_of_its_key() {
    let fixture = Fixture::start().await;
    for nth in 0..50 {
        let job = |key: String| NewJob { unique_key: Some(key), ..new_job() };
        let (old, new) = (job(format!("key {nth}")), job(format!("key {nth}")));
        fixture.enqueue(std::slice::from_ref(&old)).await.expect("enqueue");
        fixture.cancel(&[old.id]).await.expect("cancel");
        let ids = [old.id];
        let revives = concurrently((0..4).map(|_| fixture.revive(&ids)));
        let (revives, enqueued) = tokio::join!(revives, fixture.enqueue(std::slice::from_ref(&new)));
        let enqueued = &enqueued.expect("enqueue")[0];
        let mut revived = 0;
        for answer in revives {
            match answer {
                Ok(jobs) => revived += jobs.len(),
                Err(error) => assert_key_is_taken(error, old.id),
            }
        }
        assert_eq!(revived + usize::from(enqueued.inserted), 1, "{enqueued:?}");
        assert_eq!(fixture.live_with_key(&format!("key {nth}")).await, 1);
    }
}
