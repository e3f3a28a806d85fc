//! A small fleet in which every process reaches PostgreSQL through PgBouncer in transaction mode.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::{NewJob, State};
use leasehold_tests::{Step, eventually, read_log};
use nix::sys::signal::Signal;
use serde_json::value::to_raw_value;
use std::time::Duration;
use tokio::sync::Mutex;

const LEASE: Duration = Duration::from_secs(3);
const JOBS: usize = 2_000;
/// The number of server connections of the tests' PgBouncer for each database.
const SERVER_CONNECTIONS: i64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_behind_pgbouncer_loses_a_worker_but_no_job() {
    let mut fleet = Fleet::start_through_pgbouncer(LEASE).await;
    fleet.start_probe_workers(3, 10).await;

    // Small jobs, and some longer jobs that certainly run when their worker is killed.
    let job = |ms| NewJob::new("probe".parse().expect("a kind"), to_raw_value(&fleet.probe(ms)).expect("JSON"));
    let jobs: Vec<_> = (0..JOBS).map(|nth| job(if nth < 30 { 1_500 } else { 5 })).collect();
    let enqueued = fleet.client.enqueue_many(&jobs).await.expect("enqueueing");
    assert_eq!(enqueued.iter().filter(|job| job.inserted).count(), JOBS);
    let log = fleet.log();
    let victim = fleet.workers.pop().expect("a worker");
    eventually("the victim runs some of the jobs", TIMEOUT, || async {
        let lines = read_log(&log);
        let of_victim = |step| lines.iter().filter(|line| line.pid == victim.pid() && line.step == step).count();
        let running = of_victim(Step::Start) - of_victim(Step::End).min(of_victim(Step::Start));
        if running > 2 { Ok(()) } else { Err(running) }
    })
    .await;
    victim.signal(Signal::SIGKILL);
    fleet.wait_until_succeeded(i64::try_from(JOBS).expect("a count")).await;
    let mut database = fleet.stores.database.connect().await;
    assert_eq!(
        fleet.count(&mut database, "SELECT count(*) FROM leasehold.jobs").await,
        2_000,
        "each id must exist once"
    );
    let crashed = fleet.count(&mut database, "SELECT count(*) FROM leasehold.history WHERE crashes > 0").await;
    println!("{crashed} jobs lost their worker");
    assert!(crashed > 0, "the killed worker must have held jobs");

    // A cancel reaches a running job.
    let long = fleet.client.enqueue(fleet.probe(600_000)).send().await.expect("enqueueing").get();
    eventually("the job runs", TIMEOUT, || async {
        let begun = read_log(&log).iter().any(|line| line.id == long.0 && line.step == Step::Start);
        if begun { Ok(()) } else { Err("not started") }
    })
    .await;
    fleet.client.cancel(&[long]).await.expect("cancelling");
    eventually("the job is cancelled", TIMEOUT, || async {
        let state = fleet.client.job(long).await.expect("reading").expect("the job").state;
        if state == State::Cancelled { Ok(()) } else { Err(state) }
    })
    .await;

    // The commands reach PostgreSQL the same way.
    let payload = serde_json::to_string(&fleet.probe(0)).expect("JSON");
    let id = fleet.leasehold(&["enqueue", "--kind", "probe", "--payload", &payload], None);
    fleet.leasehold(&["job", "wait", &id, "--timeout", "60s"], None);
    fleet.leasehold(&["migrate"], None);
    fleet.leasehold(&["migrate", "status"], None);
    assert!(fleet.leasehold(&["stats"], None).contains("default"));
    fleet.leasehold(&["doctor"], None);
    fleet.leasehold(&["reaper", "--once"], None);

    // A user who forgets to configure PgBouncer gets an error that says so.
    for command in ["stats", "doctor", "migrate", "reaper"] {
        let untold = fleet.leasehold_ends(&[command, "--set", "database.pooler=none"], None);
        let said = String::from_utf8_lossy(&untold.stderr);
        assert_eq!(untold.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("set database.pooler to transaction"), "{command}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{command}: {said}");
    }

    let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // For a moment there may be no connection at all, when PgBouncer closes a connection that a command left in the
    // middle of something.
    let database = Mutex::new(database);
    eventually("all connections are PgBouncer's few connections", TIMEOUT, || async {
        let held = fleet.count(&mut *database.lock().await, ours).await;
        if (1..=SERVER_CONNECTIONS).contains(&held) { Ok(()) } else { Err(held) }
    })
    .await;
    let mut database = database.into_inner();
    let left =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
                AND now() - state_change > interval '5 s'";
    assert_eq!(fleet.count(&mut database, left).await, 0, "no transaction may stay open");
}
