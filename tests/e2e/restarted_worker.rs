//! A restarted worker is a new worker: it has a new id, and it does not own the jobs that it had claimed before.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::{Fence, JobId};
use leasehold_core::{FinishedRun, Settle, Settled, WorkerId};
use leasehold_tests::{LogLine, Step, WrongClock, eventually, read_log};
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, path::Path, time::Duration};

const LEASE: Duration = Duration::from_secs(5);

/// Waits until a job has been started this many times. Returns the last start.
async fn started(log: &Path, id: JobId, times: usize) -> LogLine {
    eventually("the job has started", TIMEOUT, || async {
        let lines = read_log(log).into_iter().filter(|line| line.id == id.0 && line.step == Step::Start);
        let mut starts: Vec<_> = lines.collect();
        if starts.len() >= times { Ok(starts.remove(times - 1)) } else { Err(starts.len()) }
    })
    .await
}

/// One host, the same settings and the same process id, as in containers: workers started one after the other and at
/// the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_starts_have_the_same_id() {
    let mut fleet = Fleet::start(LEASE).await;
    let clock = WrongClock::new(fleet.folder(), "container", 0).as_process_1();
    let log = fleet.log();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        fleet.start_probe_worker(1, Some(&clock));
        let job = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing").get();
        let line = started(&log, job, 1).await;
        assert_eq!(line.pid, 1, "the process id must be 1, as in a container");
        ids.insert(line.worker);
        fleet.workers.remove(0).signal(Signal::SIGKILL);
    }
    assert_eq!(ids.len(), 3, "started one after the other: {ids:?}");

    for _ in 0..3 {
        fleet.start_probe_worker(1, Some(&clock));
    }
    // Each worker takes one job, because each has one slot and no job ends.
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(fleet.client.enqueue(fleet.probe(600_000)).send().await.expect("enqueueing").get());
    }
    for job in jobs {
        ids.insert(started(&log, job, 1).await.worker);
    }
    assert_eq!(ids.len(), 6, "started at the same time: {ids:?}");
}

/// A worker is killed and restarted within its lease. Until the lease has run out, the job belongs to the killed
/// worker, and no other worker's result is accepted. Then the job runs again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_worker_does_not_own_its_earlier_jobs() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(1, 2).await;
    let log = fleet.log();
    let job = fleet.client.enqueue(fleet.probe(3_000)).send().await.expect("enqueueing").get();
    let former = started(&log, job, 1).await;
    fleet.workers.remove(0).signal(Signal::SIGKILL);
    fleet.start_probe_worker(2, None);
    let other = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing").get();
    let now = WorkerId(started(&log, other, 1).await.worker);
    assert_ne!(now.0, former.worker);

    let store = fleet.client.store();
    let fence = Fence { id: job, epoch: former.epoch, worker: now };
    let finished = [FinishedRun { fence, settle: Settle::Complete(None) }];
    assert_eq!(store.settle(now, &finished).await.expect("settling"), [Settled::LeaseLost]);
    let renewed = store.renew(now, &[fence], LEASE).await.expect("renewing");
    assert!(renewed.is_empty(), "{renewed:?}");

    let again = started(&log, job, 2).await;
    assert_eq!((again.worker, again.epoch), (now.0, former.epoch + 1));
    fleet.wait_until_succeeded(2).await;
    let record = fleet.client.job(job).await.expect("reading").expect("the job");
    assert_eq!((record.epoch, record.crashes, record.worker), (2, 1, Some(now)));
}
