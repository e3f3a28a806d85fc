//! The whole life of a job, with every verb once.

use crate::fixture::{Fixture, LEASE, json, name, new_job};
use leasehold_core::{Settle, Settled, State, WorkerId};
use leasehold_store::{JobFilter, Kinds};
use std::time::Duration;

#[tokio::test]
async fn a_life() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    fixture.check_schema().await.expect("the schema of this program");
    assert!(fixture.migrate().await.expect("migrate").is_empty());
    assert!(fixture.schema().await.expect("the schema").is_applied());

    let fence = fixture.running(worker).await;
    let renewed = fixture.renew(worker, &[fence], LEASE).await.expect("renew");
    assert_eq!(renewed.len(), 1);
    let retry = Settle::Retry { delay: Duration::ZERO, error: "once".into() };
    assert_eq!(fixture.settle_one(fence, retry.clone()).await, Settled::Done);
    assert_eq!(fixture.settle_one(fence, retry).await, Settled::Already);
    assert_eq!(fixture.promote(10, None).await.expect("promote").jobs.len(), 1);
    assert_eq!(fixture.position(fence.id, 10).await.expect("position"), Some(0));
    assert_eq!(fixture.survey(None).await.expect("survey").lines[0].queue, name("default"));
    assert_eq!(fixture.front(&name("default"), &Kinds::All, 10).await.expect("line").ids(), [fence.id]);
    let again = fixture.claim_line(worker, &name("default"), &Kinds::All, 10, LEASE, true).await.expect("claim_line");
    let fence = again[0].fence;
    assert_eq!(fence.epoch, 2);
    let snooze = Settle::Snooze { delay: Duration::ZERO, reason: None };
    assert_eq!(fixture.settle_one(fence, snooze).await, Settled::Done);
    assert_eq!(fixture.revive(&[fence.id]).await.expect("revive").len(), 1);
    let fence = fixture.claim_one(worker, fence.id).await.fence;
    assert_eq!(fixture.settle_one(fence, Settle::Release).await, Settled::Done);
    let fence = fixture.claim_one(worker, fence.id).await.fence;
    assert_eq!(fixture.settle_one(fence, Settle::Complete(Some(json("[ 1]")))).await, Settled::Done);
    let finished = fixture.finished(&[fence.id]).await.expect("finished");
    assert_eq!(
        (finished[0].state, finished[0].result.as_deref().map(|json| json.get())),
        (State::Succeeded, Some("[ 1]"))
    );
    assert_eq!(fixture.revive(&[fence.id]).await.expect("revive").len(), 1);
    let fence = fixture.claim_one(worker, fence.id).await.fence;
    assert_eq!(fixture.cancel(&[fence.id]).await.expect("cancel")[0].state, State::Running);
    assert_eq!(fixture.cancel_wanted(10).await.expect("cancel_wanted").len(), 1);
    assert_eq!(fixture.settle_one(fence, Settle::Release).await, Settled::CancelWanted);
    assert_eq!(fixture.settle_one(fence, Settle::Cancel).await, Settled::Done);
    fixture.revive(&[fence.id]).await.expect("revive");
    let fence = fixture.claim_one(worker, fence.id).await.fence;
    assert_eq!(fixture.settle_one(fence, Settle::Bury { error: "never".into() }).await, Settled::Done);
    assert_eq!(fixture.record(fence.id).await.state, State::Dead);

    let fence = fixture.running(worker).await;
    fixture.end_lease(fence.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].worker, worker);
    assert_eq!(fixture.look(&[fence.id], &Kinds::All).await.expect("look")[0].state, State::Queued);
    assert_eq!(fixture.purge(&name("default"), 10).await.expect("purge"), [fence.id]);
    assert_eq!(fixture.unblock(&[fence.id]).await.expect("unblock").len(), 0);
    assert!(fixture.pause(&name("default")).await.expect("pause"));
    assert_eq!(fixture.paused().await.expect("paused"), [name("default")]);
    assert!(fixture.resume(&name("default")).await.expect("resume"));
    assert_eq!(fixture.jobs(&JobFilter { limit: 10, ..JobFilter::default() }).await.expect("jobs").len(), 2);
    // One of the ends was undone, and counts: it is a rate.
    assert_eq!(fixture.stats().await.expect("stats")[0].cancelled_last_minute, 2);
    assert_eq!(fixture.retain(Duration::from_secs(86_400)).await.expect("retain").partitions_made, 0);
    let violations = fixture.violations().await.expect("violations");
    assert!(violations.is_empty(), "{violations:?}");
    fixture.ping().await.expect("ping");
    fixture.enqueue(&[new_job()]).await.expect("enqueue");
}
