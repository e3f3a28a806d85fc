//! Workers are killed under load: every job finishes once, and soon.

use crate::fleet::{Fleet, Process, TIMEOUT};
use leasehold::NewJob;
use leasehold_tests::{LogLine, Step, eventually, read_log, starts};
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::value::to_raw_value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const JOBS: usize = 20_000;
/// Jobs that are added if a worker has no jobs when the test wants to kill it: enough for a moment.
const MORE: usize = 2_000;
const LEASE: Duration = Duration::from_secs(3);

/// 8 worker processes, 20,000 small jobs, SIGKILL for three workers at random times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_eight_workers_are_killed_and_every_job_is_finished_once() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(8, 10).await;
    enqueue(&fleet, JOBS).await;

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut jobs = JOBS;
    let mut killed = Vec::new();
    let mut last_kill = Instant::now();
    for nth in 1..=3 {
        let moment = random.random_range(JOBS * (nth - 1) / 4..JOBS * nth / 4).max(1);
        fleet.wait_until_succeeded(i64::try_from(moment).expect("a count")).await;
        let (victim, more) = freeze_a_busy_worker(&mut fleet, &mut random).await;
        jobs += more;
        victim.signal(Signal::SIGKILL);
        last_kill = Instant::now();
        killed.push(victim.pid());
    }

    let all = i64::try_from(jobs).expect("a count");
    fleet.wait_until_succeeded(all).await;
    println!("all {jobs} jobs finished {:?} after the last kill", last_kill.elapsed());
    let mut database = fleet.stores.database.connect().await;
    assert_eq!(
        fleet.count(&mut database, "SELECT count(*) FROM leasehold.jobs").await,
        all,
        "each id must exist once, in one table"
    );
    assert_eq!(
        fleet.count(&mut database, "SELECT count(DISTINCT id) FROM leasehold.jobs WHERE state = 'succeeded'").await,
        all
    );

    // Recovery: a job that lost its worker is claimed again within its lease plus two seconds. A job can lose two
    // workers.
    let slowest: f64 = sqlx::query_scalar(
        "SELECT coalesce(max(extract(epoch FROM started_at - (SELECT max((t ->> 'at')::timestamptz)
                  FROM jsonb_array_elements(trail) t WHERE t ->> 'verb' = 'expire'))), 0)::float8
         FROM leasehold.history WHERE crashes > 0",
    )
    .fetch_one(&mut database)
    .await
    .expect("reading trails");
    let crashed = fleet.count(&mut database, "SELECT count(*) FROM leasehold.history WHERE crashes > 0").await;
    println!("{crashed} jobs lost their worker; the slowest one was claimed {slowest:.3} s after its lease was ended");
    let losses = fleet.count(&mut database, "SELECT coalesce(sum(crashes), 0)::int8 FROM leasehold.history").await;
    assert!(losses >= 3, "each killed worker must lose at least one job: {losses}");
    assert!(slowest < 2.0, "{slowest} s");

    let lines = read_log(&fleet.log());
    let beyond_first = starts(&lines).values().filter(|&&count| count > 1).count();
    let ended_by_killed = lines.iter().filter(|line| line.step == Step::End && killed.contains(&line.pid)).count();
    println!(
        "{beyond_first} jobs were run more than once; {ended_by_killed} runs were ended by workers that were killed later"
    );
    assert_eq!(starts(&lines).len(), jobs, "every job must have run");

    // The leases of a dead worker in Redis are removed too.
    let redis = fleet.stores.redis.connect().await;
    eventually("Redis holds no finished jobs", LEASE * 3 + Duration::from_secs(10), || {
        let mut redis = redis.clone();
        async move {
            let left: Vec<String> = redis::cmd("ZRANGE")
                .arg("leasehold:{default}:leases")
                .arg(0)
                .arg(-1)
                .query_async(&mut redis)
                .await
                .expect("reading leases");
            if left.is_empty() { Ok(()) } else { Err(left.len()) }
        }
    })
    .await;
}

async fn enqueue(fleet: &Fleet, count: usize) {
    let payload = to_raw_value(&fleet.probe(1)).expect("JSON");
    let jobs: Vec<_> = (0..count).map(|_| NewJob::new("probe".parse().expect("a kind"), payload.clone())).collect();
    let enqueued = fleet.client.enqueue_many(&jobs).await.expect("enqueueing");
    assert_eq!(enqueued.iter().filter(|job| job.inserted).count(), count);
}

/// Freezes a worker that is running a job, and removes it from the fleet. A fast fleet may have no jobs left, or this
/// worker may have none. Then more jobs are enqueued, and another worker is tried. Returns how many jobs were added.
async fn freeze_a_busy_worker(fleet: &mut Fleet, random: &mut StdRng) -> (Process, usize) {
    let mut more = 0;
    let fleet_ref = &*fleet;
    let at = eventually("a worker was frozen while it ran a job", TIMEOUT, async || {
        let at = random.random_range(0..fleet_ref.workers.len());
        let worker = &fleet_ref.workers[at];
        worker.freeze();
        let begun = running_in(worker.pid(), &read_log(&fleet_ref.log()));
        if begun > 0 {
            return Ok(at);
        }
        worker.signal(Signal::SIGCONT);
        enqueue(fleet_ref, MORE).await;
        more += MORE;
        Err(format!("worker {at} ran no job"))
    })
    .await;
    (fleet.workers.swap_remove(at), more)
}

/// The number of jobs that a worker has started and not ended.
fn running_in(pid: u32, lines: &[LogLine]) -> usize {
    let of = |step| lines.iter().filter(move |line| line.pid == pid && line.step == step).map(|line| line.id);
    let ended: BTreeSet<_> = of(Step::End).collect();
    of(Step::Start).filter(|id| !ended.contains(id)).count()
}
