//! A run may end because its worker lacks something. This costs its job nothing, and the worker takes fewer jobs.

use crate::fixture::{Fixture, SOON, handlers, jobs, settings, succeeded};
use leasehold_core::{NewJob, Outcome, State};
use leasehold_tests::eventually;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_the_worker_spends_no_attempt_and_the_worker_takes_fewer_jobs() {
    let fixture = Fixture::start().await;
    // There is enough for three simultaneous runs, with eight slots.
    let (running, lacked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let handlers = {
        let (running, lacked) = (Arc::clone(&running), Arc::clone(&lacked));
        handlers("k", move |_| {
            let (running, lacked) = (Arc::clone(&running), Arc::clone(&lacked));
            async move {
                let enough = running.fetch_add(1, SeqCst) < 3;
                if enough {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                running.fetch_sub(1, SeqCst);
                if enough {
                    return succeeded();
                }
                lacked.fetch_add(1, SeqCst);
                Outcome::Lacking("a fourth one".to_owned())
            }
        })
    };
    let worker = fixture.worker(settings(8), handlers).await;
    assert_eq!(worker.watch.lack(), None);
    let all: Vec<NewJob> = jobs("k", 60).into_iter().map(|job| NewJob { max_attempts: 1, ..job }).collect();
    let ids = fixture.enqueue(&all).await;
    eventually("the worker says what it lacks", SOON, || async {
        if worker.watch.lack().as_deref() == Some("a fourth one") { Ok(()) } else { Err(worker.watch.lack()) }
    })
    .await;
    for id in ids {
        let job = fixture.until(id, State::Succeeded).await;
        assert_eq!((job.attempt, job.crashes, job.last_error), (1, 0, None));
    }
    let tally = worker.stop().await;
    let lacked = lacked.load(SeqCst);
    assert_eq!((tally.succeeded, tally.buried, tally.released), (60, 0, u64::from(lacked)));
    // With eight simultaneous runs, every second run would have lacked something.
    assert!(lacked < 40, "{lacked}");
}
