//! Workers are killed under load: every job is finished once, and soon.

use crate::fleet::Fleet;
use leasehold::NewJob;
use leasehold_tests::{Step, eventually, read_log, starts};
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::value::to_raw_value;
use std::time::{Duration, Instant};

const JOBS: usize = 20_000;
const LEASE: Duration = Duration::from_secs(3);

/// 8 worker processes, 20,000 small jobs, KILL to three of them at random moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_eight_workers_are_killed_and_every_job_is_finished_once() {
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(8, 10).await;
    let payload = to_raw_value(&fleet.probe(1)).expect("JSON");
    let jobs: Vec<_> = (0..JOBS).map(|_| NewJob::new("probe".parse().expect("a kind"), payload.clone())).collect();
    let enqueued = fleet.client.enqueue_many(&jobs).await.expect("enqueueing");
    assert_eq!(enqueued.iter().filter(|job| job.inserted).count(), JOBS);

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut killed = Vec::new();
    let mut last_kill = Instant::now();
    for nth in 1..=3 {
        let moment = random.random_range(JOBS * (nth - 1) / 4..JOBS * nth / 4).max(1);
        fleet.wait_until_succeeded(i64::try_from(moment).expect("a count")).await;
        let victim = fleet.workers.swap_remove(random.random_range(0..fleet.workers.len()));
        victim.signal(Signal::SIGKILL);
        last_kill = Instant::now();
        killed.push(victim.pid());
    }

    fleet.wait_until_succeeded(i64::try_from(JOBS).expect("a count")).await;
    println!("all finished {:?} after the last kill", last_kill.elapsed());
    let mut database = fleet.stores.database.connect().await;
    assert_eq!(
        fleet.count(&mut database, "SELECT count(*) FROM leasehold.jobs").await,
        20_000,
        "each id once, in one table"
    );
    assert_eq!(
        fleet.count(&mut database, "SELECT count(DISTINCT id) FROM leasehold.jobs WHERE state = 'succeeded'").await,
        20_000
    );

    // Recovery: a job that lost its worker is claimed again within its lease and two seconds (a job can lose two).
    let slowest: f64 = sqlx::query_scalar(
        "SELECT coalesce(max(extract(epoch FROM started_at - (SELECT max((t ->> 'at')::timestamptz)
                  FROM jsonb_array_elements(trail) t WHERE t ->> 'verb' = 'expire'))), 0)::float8
         FROM leasehold.history WHERE crashes > 0",
    )
    .fetch_one(&mut database)
    .await
    .expect("reading trails");
    let crashed = fleet.count(&mut database, "SELECT count(*) FROM leasehold.history WHERE crashes > 0").await;
    println!("{crashed} jobs lost their worker; the slowest was claimed {slowest:.3} s after its lease had been ended");
    assert!(crashed > 0, "the killed workers held jobs");
    assert!(slowest < 2.0, "{slowest} s");

    let lines = read_log(&fleet.log());
    let beyond_first = starts(&lines).values().filter(|&&count| count > 1).count();
    let ended_by_killed = lines.iter().filter(|line| line.step == Step::End && killed.contains(&line.pid)).count();
    println!(
        "{beyond_first} jobs were run more than once; {ended_by_killed} runs were ended by workers that were killed later"
    );
    assert_eq!(starts(&lines).len(), JOBS, "every job was run");

    // What a dead worker had leased in Redis goes too.
    let redis = fleet.stores.redis.connect().await;
    eventually("Redis holds nothing of finished jobs", LEASE * 3 + Duration::from_secs(10), || {
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
