//! Jobs enqueued by plain SQL in the caller's own transaction.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold_tests::{Step, eventually, read_log};
use sqlx::{Connection as _, PgConnection};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use uuid::Uuid;

async fn enqueue(database: &mut PgConnection, log: &Path) -> Uuid {
    sqlx::query_scalar("SELECT leasehold.enqueue('probe', $1)")
        .bind(format!(r#"{{"log":{:?}}}"#, log.display().to_string()))
        .fetch_one(database)
        .await
        .expect("enqueueing by SQL")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_soon_after_commit_and_never_after_rollback() {
    let mut fleet = Fleet::start(Duration::from_secs(10)).await;
    fleet.start_probe_workers(1, 4).await;
    let log = fleet.log();
    let mut database = fleet.stores.database.connect().await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut rolled_back = database.begin().await.expect("a transaction");
        let never = enqueue(&mut rolled_back, &log).await;
        rolled_back.rollback().await.expect("a rollback");

        let mut transaction = database.begin().await.expect("a transaction");
        let id = enqueue(&mut transaction, &log).await;
        assert!(!read_log(&log).iter().any(|line| line.id == id), "the job ran before the commit");
        transaction.commit().await.expect("a commit");
        let committed = Instant::now();
        eventually("the job has started", TIMEOUT, || async {
            let lines = read_log(&log);
            if lines.iter().any(|line| line.id == id && line.step == Step::Start) { Ok(()) } else { Err(lines.len()) }
        })
        .await;
        times.push(committed.elapsed());
        assert!(!read_log(&log).iter().any(|line| line.id == never), "a job ran although it was rolled back");
    }
    times.sort();
    println!("from commit to handler: median {:?}, slowest {:?}", times[10], times[19]);
    // The reaper's tick is 250 ms. Without the reaper, Redis would never learn of these jobs. The rest of the bound is
    // room for a machine that is slow or busy with other tests.
    assert!(times[10] < Duration::from_millis(1500), "median {:?}", times[10]);
}
