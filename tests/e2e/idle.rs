//! An idle fleet sends PostgreSQL no statements and uses almost no CPU.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold_tests::{cpu_ticks, eventually};
use std::time::{Duration, Instant};

/// Long enough for several rounds of all periodic work of an idle worker.
const MEASURED: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_idle_workers_send_no_statement_and_use_almost_no_cpu() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    fleet.start_probe_workers(16, 10).await;
    let warm_up = fleet.client.enqueue(fleet.probe(0)).send().await.expect("enqueueing");
    fleet.client.wait(warm_up, TIMEOUT).await.expect("a first job");

    let database = &fleet.stores.database;
    let mut connection = database.connect().await;
    // The last statement of each connection of a worker, and its time. Every new statement changes this text.
    let last_statements = "SELECT coalesce(string_agg(pid || ' ' || query_start, ',' ORDER BY pid), '')
         FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'leasehold worker'";
    let quiet_since = eventually("the workers send no statements", TIMEOUT, || async {
        let mut connection = database.connect().await;
        let busy: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND application_name = 'leasehold worker' AND (state <> 'idle' OR state_change > now() - interval '2 seconds')",
        )
        .fetch_one(&mut connection)
        .await
        .expect("reading activity");
        if busy == 0 { Ok(Instant::now()) } else { Err(busy) }
    })
    .await;

    let before: String = sqlx::query_scalar(last_statements).fetch_one(&mut connection).await.expect("activity");
    let ticks: Vec<u64> = fleet.workers.iter().map(|worker| cpu_ticks(worker.pid())).collect();
    eventually("the measured time is over", MEASURED * 2, || async {
        if quiet_since.elapsed() >= MEASURED { Ok(()) } else { Err(quiet_since.elapsed()) }
    })
    .await;
    let after: String = sqlx::query_scalar(last_statements).fetch_one(&mut connection).await.expect("activity");
    let used: u64 = fleet.workers.iter().zip(ticks).map(|(worker, before)| cpu_ticks(worker.pid()) - before).sum();
    let percent = used as f64 / MEASURED.as_secs_f64();
    println!("16 idle workers for {MEASURED:?}: {percent:.2} % of a core together");
    assert_eq!(before, after, "an idle worker sent a statement to PostgreSQL");
    // Almost nothing. One busy loop uses a hundred percent.
    assert!(percent < 10.0, "{percent} % of a core");
}
