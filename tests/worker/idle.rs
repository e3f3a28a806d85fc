//! A worker without work costs nothing.

use crate::fixture::{Fixture, SOON, handlers, job, settings, succeeded};
use leasehold_core::State;
use leasehold_tests::eventually;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_sends_postgres_nothing_and_redis_next_to_nothing() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(8), handlers("k", |_| async { succeeded() })).await;
    let id = fixture.enqueue_one(job("k")).await;
    fixture.until(id, State::Succeeded).await;
    eventually("its connections are idle", SOON, || async {
        let busy: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'worker' AND datname = current_database() AND state <> 'idle'",
        )
        .fetch_one(fixture.store.pool())
        .await
        .expect("pg_stat_activity");
        if busy == 0 { Ok(()) } else { Err(busy) }
    })
    .await;
    let (last, commands) = (last_statement(&fixture).await, redis_commands(&fixture).await);
    // Only time can show that nothing happens.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(last_statement(&fixture).await, last, "a statement was sent");
    let commands = redis_commands(&fixture).await - commands;
    assert!(commands < 40, "{commands} commands in seven seconds");
    worker.stop().await;
}

async fn last_statement(fixture: &Fixture) -> Option<String> {
    sqlx::query_scalar(
        "SELECT max(query_start)::text FROM pg_stat_activity
         WHERE application_name = 'worker' AND datname = current_database()",
    )
    .fetch_one(fixture.store.pool())
    .await
    .expect("pg_stat_activity")
}

async fn redis_commands(fixture: &Fixture) -> u64 {
    let mut redis = fixture.stores.redis.connect().await;
    let stats: String = redis::cmd("INFO").arg("stats").query_async(&mut redis).await.expect("INFO");
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).expect("the count");
    line.trim().parse().expect("a number")
}
