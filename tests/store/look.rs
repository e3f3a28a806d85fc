//! look: why hints were not claimed.

use crate::fixture::{Fixture, LEASE, name, new_job};
use leasehold_core::{JobId, Settle, State, WorkerId};

#[tokio::test]
async fn reports_the_status_of_live_jobs() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (running, finished) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let mut paused = new_job();
    paused.queue = name("paused");
    fixture.enqueue(std::slice::from_ref(&paused)).await.expect("enqueue");
    fixture.pause(&name("paused")).await.expect("pause");
    let looked = fixture.look(&[running.id, finished.id, paused.id, JobId::new()]).await.expect("look");
    assert_eq!(looked.len(), 2);
    for job in looked {
        if job.id == running.id {
            let lease_ms = i64::try_from(LEASE.as_millis()).expect("fits");
            assert!(job.lease_ms_left.is_some_and(|left| left > 0 && left <= lease_ms), "{job:?}");
            assert_eq!((job.state, job.paused), (State::Running, false));
        } else {
            assert_eq!((job.state, job.paused, job.lease_ms_left), (State::Queued, true, None));
        }
    }
}
