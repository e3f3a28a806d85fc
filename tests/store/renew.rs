//! renew: running → running, in one batch.

use crate::fixture::{Fixture, LEASE};
use leasehold_core::{Fence, JobId, Settle, WorkerId};
use std::time::Duration;

#[tokio::test]
async fn extends_the_lease_and_answers_whether_a_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let runs = [fixture.running(worker).await, fixture.running(worker).await];
    fixture.cancel(&[runs[1].id]).await.expect("cancel");
    let before = fixture.record(runs[0].id).await.lease_expires_at;
    let mut renewed = fixture.renew(worker, &runs, LEASE + Duration::from_secs(60)).await.expect("renew");
    renewed.sort_by_key(|lease| lease.id);
    let seen: Vec<_> = renewed.iter().map(|lease| (lease.id, lease.epoch, lease.cancel_wanted)).collect();
    assert_eq!(seen, [(runs[0].id, 1, false), (runs[1].id, 1, true)]);
    let gained = fixture.record(runs[0].id).await.lease_expires_at.zip(before).map(|(after, before)| after - before);
    assert!(gained >= Some(chrono::TimeDelta::seconds(60)), "{gained:?}");
}

#[tokio::test]
async fn stale_fence_and_illegal_state() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let current = fixture.running(worker).await;
    let (expired, finished) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.end_lease(expired.id).await;
    fixture.expire(10, None).await.expect("expire");
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let stale = [
        Fence { epoch: 2, ..current },
        Fence { epoch: 0, ..current },
        Fence { worker: WorkerId::new(), ..current },
        Fence { id: JobId::new(), ..current },
        expired,
        finished,
    ];
    let before = format!("{:?}", fixture.record(current.id).await);
    assert_eq!(fixture.renew(worker, &stale, LEASE).await.expect("renew").len(), 0);
    assert_eq!(fixture.renew(WorkerId::new(), &[current], LEASE).await.expect("renew").len(), 0);
    assert_eq!(before, format!("{:?}", fixture.record(current.id).await));
}

/// A lease that has run out but was not expired yet is valid again after a renewal. Of renew and expire, exactly one
/// wins.
#[tokio::test]
async fn concurrent_renew_and_expire_have_one_winner() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for _ in 0..100 {
        let fence = fixture.running(worker).await;
        fixture.end_lease(fence.id).await;
        let (renewed, expired) =
            tokio::join!(fixture.renew(worker, std::slice::from_ref(&fence), LEASE), fixture.expire(10, None));
        let (renewed, expired) = (renewed.expect("renew").len(), expired.expect("expire").len());
        // Renew may find the row locked by expire and report the lease as valid; the next renew then reports the truth.
        let stands = fixture.renew(worker, &[fence], LEASE).await.expect("renew").len();
        assert_eq!(stands + expired, 1, "renewed {renewed}, expired {expired}");
        fixture.settle_one(fence, Settle::Complete(None)).await;
    }
}
