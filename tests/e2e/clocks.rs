//! Wall clocks that are wrong by an hour, and one that changes: leases, delays, retries and the order of the line
//! follow the database's clock, and timeouts follow each process's monotonic clock.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::{JobId, NewJob, QueueName, State};
use leasehold_store::Kinds;
use leasehold_tests::{Step, WrongClock, clock_errors, eventually, read_log};
use serde_json::value::to_raw_value;
use std::time::Duration;

const HOUR_S: i64 = 3600;
const LEASE: Duration = Duration::from_secs(2);
/// An error of an hour, with room for the time that a busy machine takes to write a line.
const ABOUT_AN_HOUR_MS: std::ops::Range<i64> = 3_500_000..3_700_000;

impl Fleet {
    fn clock(&self, name: &str, ahead_s: i64) -> WrongClock {
        WrongClock::new(self.folder(), name, ahead_s)
    }

    /// Enqueues a probe with the command line, under a wrong clock. Returns the id.
    fn enqueue_by(&self, clock: &WrongClock, further: &[&str]) -> JobId {
        let payload = serde_json::to_string(&self.probe(10)).expect("JSON");
        let arguments = [&["enqueue", "--kind", "probe", "--payload", &payload], further].concat();
        self.leasehold(&arguments, Some(clock)).parse().expect("an id")
    }
}

/// Each handler runs longer than its lease. The clock of one worker is ahead, the clock of another one is behind, and
/// the clock of the third one is set back by two hours while it works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_hold_under_wrong_clocks_of_workers() {
    let mut fleet = Fleet::start(LEASE).await;
    let jumps = fleet.clock("jumps", HOUR_S);
    for clock in [&fleet.clock("ahead", HOUR_S), &fleet.clock("behind", -HOUR_S), &jumps] {
        fleet.start_probe_worker(4, Some(clock));
    }
    fleet.until_all_are_registered().await;
    let job = |ms| NewJob::new("probe".parse().expect("a kind"), to_raw_value(&fleet.probe(ms)).expect("JSON"));
    let mut jobs: Vec<_> = (0..12).map(|_| job(5_000)).collect();
    fleet.client.enqueue_many(&jobs).await.expect("enqueueing");
    let log = fleet.log();
    eventually("every slot is busy", TIMEOUT, || async {
        let begun = read_log(&log).len();
        if begun >= 12 { Ok(()) } else { Err(begun) }
    })
    .await;
    jumps.set(-HOUR_S);
    let more: Vec<_> = (0..300).map(|_| job(20)).collect();
    fleet.client.enqueue_many(&more).await.expect("enqueueing");
    jobs.extend(more);
    fleet.wait_until_succeeded(i64::try_from(jobs.len()).expect("a count")).await;

    let mut database = fleet.stores.database.connect().await;
    let disturbed = "SELECT count(*) FROM leasehold.history WHERE epoch > 1 OR attempt > 1 OR crashes > 0";
    assert_eq!(fleet.count(&mut database, disturbed).await, 0, "all jobs must need only one run");
    // The clocks really were wrong.
    let errors = clock_errors(&log);
    let of = |nth: usize| {
        *errors.get(&fleet.workers[nth].pid()).unwrap_or_else(|| panic!("the clock was not wrong: {errors:?}"))
    };
    let is_hour = |ms: i64| ABOUT_AN_HOUR_MS.contains(&ms);
    assert!(is_hour(of(0).0) && is_hour(of(0).1), "ahead: {errors:?}");
    assert!(is_hour(-of(1).0) && is_hour(-of(1).1), "behind: {errors:?}");
    assert!(is_hour(-of(2).0) && is_hour(of(2).1), "the clock must first be ahead and then behind: {errors:?}");
}

/// A retry starts after its backoff and a delayed job after its delay, under every client's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_follow_the_clock_of_the_database() {
    let mut fleet = Fleet::start(LEASE).await;
    let clocks = [fleet.clock("ahead", HOUR_S), fleet.clock("behind", -HOUR_S)];
    let mut failing = Vec::new();
    for (clock, queue) in clocks.iter().zip(["ahead", "behind"]) {
        let backoff = ["--set", "worker.backoff_base_ms=60000", "--set", "worker.backoff_cap_ms=60000"];
        fleet.start_leasehold(
            &[&["worker", "--queue", queue, "--exec", "probe=exit 1"], &backoff[..]].concat(),
            Some(clock),
        );
        failing.push(fleet.enqueue_by(clock, &["--queue", queue]));
    }
    for id in failing {
        eventually("the job has failed and waits for its retry", TIMEOUT, || async {
            let state = fleet.client.job(id).await.expect("reading").expect("the job").state;
            if state == State::Scheduled { Ok(()) } else { Err(state) }
        })
        .await;
    }
    let mut database = fleet.stores.database.connect().await;
    let waits = "SELECT count(*) FROM leasehold.job WHERE state = 'scheduled'
                 AND run_at BETWEEN created_at + interval '20 s' AND now() + interval '61 s'";
    assert_eq!(fleet.count(&mut database, waits).await, 2, "both jobs must wait for about a minute");

    let delayed: Vec<JobId> =
        clocks.iter().map(|clock| fleet.enqueue_by(clock, &["--queue", "default", "--delay", "2s"])).collect();
    let asked = "SELECT count(*) FROM leasehold.jobs WHERE run_at = created_at + interval '2 s'";
    assert_eq!(fleet.count(&mut database, asked).await, 2);
    fleet.start_probe_worker(2, Some(&clocks[1]));
    for id in delayed {
        fleet.leasehold(&["job", "wait", &id.to_string(), "--timeout", "60s"], Some(&clocks[0]));
    }
    let early = "SELECT count(*) FROM leasehold.history WHERE started_at < run_at";
    assert_eq!(fleet.count(&mut database, early).await, 0);
}

/// Clients generate ids, and ids contain the clients' times. The line still has the order in which the jobs arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_has_the_order_in_which_jobs_arrived() {
    let mut fleet = Fleet::start(LEASE).await;
    let (ahead, behind) = (fleet.clock("ahead", HOUR_S), fleet.clock("behind", -HOUR_S));
    let came: Vec<JobId> = [&ahead, &behind, &ahead, &behind].map(|clock| fleet.enqueue_by(clock, &[])).into();
    assert!(
        came[1] < came[3] && came[3] < came[0] && came[0] < came[2],
        "the ids must have the order of their clients' clocks"
    );
    let line =
        leasehold_tests::front(fleet.client.store(), &QueueName::default(), &Kinds::All, 10).await.expect("the line");
    assert_eq!(line.ids(), came);
    fleet.start_probe_worker(1, None);
    fleet.wait_until_succeeded(4).await;
    let lines = read_log(&fleet.log());
    let begun: Vec<JobId> = lines.iter().filter(|line| line.step == Step::Start).map(|line| JobId(line.id)).collect();
    assert_eq!(begun, came);
}
