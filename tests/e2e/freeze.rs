//! A worker frozen past its lease: its late result is refused, and its handler is told.

use crate::fleet::{Fleet, PATIENCE};
use leasehold::State;
use leasehold_tests::{Step, eventually, read_log};
use nix::sys::signal::Signal;
use std::time::Duration;

/// So long that a machine with noisy neighbours renews in time.
const LEASE: Duration = Duration::from_secs(4);
/// So long that its worker is certainly frozen before it ends.
const SHORT_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_is_told_and_its_late_results_are_refused() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(1, 2).await;
    // One handler that ends while its worker is frozen, and one that would go on for long after.
    let short = fleet.client.enqueue(fleet.probe(SHORT_MS)).send().await.expect("enqueueing").get();
    let long = fleet.client.enqueue(fleet.probe(60_000)).send().await.expect("enqueueing").get();
    let log = fleet.log();
    eventually("both handlers have begun", PATIENCE, || async {
        let begun = read_log(&log).iter().filter(|line| line.step == Step::Start).count();
        if begun == 2 { Ok(()) } else { Err(begun) }
    })
    .await;

    let frozen_pid = fleet.workers[0].pid();
    fleet.workers[0].freeze();
    let ended = read_log(&log).iter().filter(|line| line.step == Step::End).count();
    assert_eq!(ended, 0, "both run while their worker is frozen");
    // Whether all are registered cannot be waited for: the frozen one soon is no more.
    fleet.start_probe_worker(2, None);
    eventually("another worker runs both", PATIENCE, || async {
        let elsewhere = read_log(&log).iter().filter(|line| line.step == Step::Start && line.pid != frozen_pid).count();
        if elsewhere == 2 { Ok(()) } else { Err(elsewhere) }
    })
    .await;
    fleet.wait_until_succeeded(1).await;
    fleet.workers[0].signal(Signal::SIGCONT);

    eventually("the handler that still ran is told that its lease is lost", PATIENCE, || async {
        let lines = read_log(&log);
        let told = lines.iter().any(|line| line.step == Step::LeaseLost && line.pid == frozen_pid && line.id == long.0);
        if told { Ok(()) } else { Err(lines.len()) }
    })
    .await;

    let record = fleet.client.job(short).await.expect("reading").expect("the job");
    assert_eq!((record.state, record.epoch), (State::Succeeded, 2), "the second run's result is the one that counts");
    assert_eq!(record.result.as_deref().map(|result| result.get()), Some("2"), "the result is of the second run");
    let record = fleet.client.job(long).await.expect("reading").expect("the job");
    assert_eq!(
        (record.state, record.epoch, record.crashes),
        (State::Running, 2, 1),
        "the thawed worker changed nothing"
    );

    // The thawed worker goes on as before.
    let next = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing");
    fleet.client.wait(next, PATIENCE).await.expect("a job after the thaw");
    fleet.client.cancel(&[long]).await.expect("cancelling");
    eventually("the cancelled run is told", PATIENCE, || async {
        let lines = read_log(&log);
        if lines.iter().any(|line| line.step == Step::Cancelled && line.id == long.0) {
            Ok(())
        } else {
            Err(lines.len())
        }
    })
    .await;
    eventually("the job is cancelled", PATIENCE, || async {
        let state = fleet.client.job(long).await.expect("reading").expect("the job").state;
        if state == State::Cancelled { Ok(()) } else { Err(state) }
    })
    .await;
}
