//! A worker is frozen longer than its lease: its late result is refused, and its handler is told that the lease is
//! lost.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::State;
use leasehold_tests::{Step, eventually, read_log};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Long enough that a machine with noisy neighbours renews in time.
const LEASE: Duration = Duration::from_secs(4);
/// Long enough that the worker is certainly frozen before this handler ends.
const SHORT_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_learns_of_its_lost_leases_and_its_late_results_are_refused() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(1, 2).await;
    // One handler that ends while its worker is frozen, and one handler that would run for long after that.
    let short = fleet.client.enqueue(fleet.probe(SHORT_MS)).send().await.expect("enqueueing").get();
    let long = fleet.client.enqueue(fleet.probe(60_000)).send().await.expect("enqueueing").get();
    let log = fleet.log();
    eventually("both handlers have started", TIMEOUT, || async {
        let begun = read_log(&log).iter().filter(|line| line.step == Step::Start).count();
        if begun == 2 { Ok(()) } else { Err(begun) }
    })
    .await;

    let frozen_pid = fleet.workers[0].pid();
    fleet.workers[0].freeze();
    let ended = read_log(&log).iter().filter(|line| line.step == Step::End).count();
    assert_eq!(ended, 0, "both handlers must still run when their worker is frozen");
    // Do not wait until all workers are registered: the frozen one soon is not.
    fleet.start_probe_worker(2, None);
    eventually("another worker runs both jobs", TIMEOUT, || async {
        let elsewhere = read_log(&log).iter().filter(|line| line.step == Step::Start && line.pid != frozen_pid).count();
        if elsewhere == 2 { Ok(()) } else { Err(elsewhere) }
    })
    .await;
    fleet.wait_until_succeeded(1).await;
    fleet.workers[0].signal(Signal::SIGCONT);

    eventually("the running handler is told that its lease is lost", TIMEOUT, || async {
        let lines = read_log(&log);
        let told = lines.iter().any(|line| line.step == Step::LeaseLost && line.pid == frozen_pid && line.id == long.0);
        if told { Ok(()) } else { Err(lines.len()) }
    })
    .await;

    let record = fleet.client.job(short).await.expect("reading").expect("the job");
    assert_eq!((record.state, record.epoch), (State::Succeeded, 2), "the result of the second run must count");
    assert_eq!(
        record.result.as_deref().map(|result| result.get()),
        Some("2"),
        "the result must be from the second run"
    );
    let record = fleet.client.job(long).await.expect("reading").expect("the job");
    assert_eq!(
        (record.state, record.epoch, record.crashes),
        (State::Running, 2, 1),
        "the thawed worker must change nothing"
    );

    // The thawed worker continues to work.
    let next = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing");
    fleet.client.wait(next, TIMEOUT).await.expect("a job after the thaw");
    fleet.client.cancel(&[long]).await.expect("cancelling");
    eventually("the handler of the cancelled run is told", TIMEOUT, || async {
        let lines = read_log(&log);
        if lines.iter().any(|line| line.step == Step::Cancelled && line.id == long.0) {
            Ok(())
        } else {
            Err(lines.len())
        }
    })
    .await;
    eventually("the job is cancelled", TIMEOUT, || async {
        let state = fleet.client.job(long).await.expect("reading").expect("the job").state;
        if state == State::Cancelled { Ok(()) } else { Err(state) }
    })
    .await;
}
