//! A client cancels each job while the fleet claims it: exactly one of the two wins, and both stores agree.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::State;
use leasehold_tests::{Step, eventually, read_log};
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, time::Duration};

const JOBS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_cancel_and_claim_wins_a_thousand_times() {
    let mut fleet = Fleet::start(Duration::from_secs(10)).await;
    fleet.start_probe_workers(2, 10).await;
    let mut ids = Vec::new();
    for number in 1..=JOBS / 20 {
        // Which one is faster depends on the machine. In the last round all workers are frozen, so that some cancels
        // win too.
        if number == JOBS / 20 {
            fleet.workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
        }
        let mut round = Vec::new();
        for _ in 0..20 {
            round.push(fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing").get());
            // The last enqueued job is the one that is about to be claimed.
            let id = round[round.len() - 1];
            fleet.client.cancel(&[id]).await.expect("cancelling");
        }
        ids.extend(round);
    }
    fleet.workers.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    let store = leasehold::Client::store(&fleet.client);
    let finished = eventually("every job has finished", TIMEOUT, || async {
        let finished = store.finished(&ids).await.expect("reading");
        if finished.len() == JOBS { Ok(finished) } else { Err(finished.len()) }
    })
    .await;

    let ended: BTreeSet<_> =
        read_log(&fleet.log()).into_iter().filter(|line| line.step == Step::End).map(|line| line.id).collect();
    let started: BTreeSet<_> =
        read_log(&fleet.log()).into_iter().filter(|line| line.step == Step::Start).map(|line| line.id).collect();
    let (mut cancelled_waiting, mut cancelled_running, mut succeeded) = (0, 0, 0);
    for job in &finished {
        match job.state {
            State::Succeeded => {
                assert!(ended.contains(&job.id.0), "{} succeeded without a run", job.id);
                succeeded += 1;
            }
            State::Cancelled if started.contains(&job.id.0) => cancelled_running += 1,
            State::Cancelled => cancelled_waiting += 1,
            other => panic!("{} is {other}", job.id),
        }
    }
    println!(
        "{cancelled_waiting} cancelled before a claim, {cancelled_running} while running, {succeeded} claimed and finished first"
    );
    assert!(cancelled_waiting > 0, "no cancel ever won");

    let redis = fleet.stores.redis.connect().await;
    eventually("Redis holds none of the jobs", TIMEOUT, || {
        let mut redis = redis.clone();
        async move {
            let left: Vec<String> = redis::cmd("ZRANGE")
                .arg("leasehold:{default}:leases")
                .arg(0)
                .arg(-1)
                .query_async(&mut redis)
                .await
                .expect("reading leases");
            let ready: usize = redis::cmd("LLEN")
                .arg("leasehold:{default}:ready")
                .query_async(&mut redis)
                .await
                .expect("reading ready");
            if left.is_empty() && ready == 0 { Ok(()) } else { Err((left.len(), ready)) }
        }
    })
    .await;
    let mut database = fleet.stores.database.connect().await;
    assert_eq!(fleet.count(&mut database, "SELECT count(*) FROM leasehold.job").await, 0);
}
