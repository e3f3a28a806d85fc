//! A worker that is started again is another worker: it has a new id, and nothing that its former self had claimed.

use crate::fleet::{Fleet, PATIENCE};
use leasehold::{Fence, JobId};
use leasehold_core::{FinishedRun, Settle, Settled, WorkerId};
use leasehold_tests::{LogLine, Step, WrongClock, eventually, read_log};
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, path::Path, time::Duration};

const LEASE: Duration = Duration::from_secs(5);

/// Waits until a job has been begun as often as that, and returns the last time.
async fn begun(log: &Path, id: JobId, times: usize) -> LogLine {
    eventually("the job is begun", PATIENCE, || async {
        let lines = read_log(log).into_iter().filter(|line| line.id == id.0 && line.step == Step::Start);
        let mut starts: Vec<_> = lines.collect();
        if starts.len() >= times { Ok(starts.remove(times - 1)) } else { Err(starts.len()) }
    })
    .await
}

/// One host, the same settings, and the same process id, as in containers: started one after the other and at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_starts_have_the_same_id() {
    let mut fleet = Fleet::start(LEASE).await;
    let clock = WrongClock::new(fleet.folder(), "container", 0).as_process_1();
    let log = fleet.log();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        fleet.start_probe_worker(1, Some(&clock));
        let job = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing").get();
        let line = begun(&log, job, 1).await;
        assert_eq!(line.pid, 1, "as in a container");
        ids.insert(line.worker);
        fleet.workers.remove(0).signal(Signal::SIGKILL);
    }
    assert_eq!(ids.len(), 3, "one after the other: {ids:?}");

    for _ in 0..3 {
        fleet.start_probe_worker(1, Some(&clock));
    }
    // Each takes one, since each has one slot, and none of them ends.
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(fleet.client.enqueue(fleet.probe(600_000)).send().await.expect("enqueueing").get());
    }
    for job in jobs {
        ids.insert(begun(&log, job, 1).await.worker);
    }
    assert_eq!(ids.len(), 6, "at once: {ids:?}");
}

/// Killed and started again within its lease: until that has run out, the job is the former self's, and nobody's results for
/// it are taken; then it runs again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_started_again_has_no_claim_on_what_it_held() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(1, 2).await;
    let log = fleet.log();
    let job = fleet.client.enqueue(fleet.probe(3_000)).send().await.expect("enqueueing").get();
    let former = begun(&log, job, 1).await;
    fleet.workers.remove(0).signal(Signal::SIGKILL);
    fleet.start_probe_worker(2, None);
    let other = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing").get();
    let now = WorkerId(begun(&log, other, 1).await.worker);
    assert_ne!(now.0, former.worker);

    let store = fleet.client.store();
    let fence = Fence { id: job, epoch: former.epoch, worker: now };
    let finished = [FinishedRun { fence, settle: Settle::Complete(None) }];
    assert_eq!(store.settle(now, &finished).await.expect("settling"), [Settled::LeaseLost]);
    let renewed = store.renew(now, &[fence], LEASE).await.expect("renewing");
    assert!(renewed.is_empty(), "{renewed:?}");

    let again = begun(&log, job, 2).await;
    assert_eq!((again.worker, again.epoch), (now.0, former.epoch + 1));
    fleet.wait_until_succeeded(2).await;
    let record = fleet.client.job(job).await.expect("reading").expect("the job");
    assert_eq!((record.epoch, record.crashes, record.worker), (2, 1, Some(now)));
}
