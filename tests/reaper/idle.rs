//! The cost of an idle reaper.

use crate::world::{HEAD_MAX, World};
use leasehold_core::WorkerId;
use leasehold_servers::PostgresOptions;
use leasehold_tests::{Database, RedisServer, Stores};

const TICKS: i64 = 20;

#[tokio::test]
async fn an_idle_system_costs_a_handful_of_cheap_statements() {
    let settings = vec!["shared_preload_libraries=pg_stat_statements".to_owned()];
    let options = PostgresOptions { fsync: false, max_connections: 40, password: false, settings };
    let (database, redis) = tokio::join!(Database::start_apart(options), RedisServer::start());
    let world = World::on(Stores { database, redis }, HEAD_MAX).await;
    world.sql("CREATE EXTENSION pg_stat_statements").await;
    let mut reaper = world.reaper().await;
    // A system that has worked and has drained.
    world.enqueue_and_push(50).await;
    while world.work(WorkerId::new(), 10).await > 0 {}
    reaper.tick().await;

    world.sql("SELECT pg_stat_statements_reset()").await;
    for _ in 0..TICKS {
        reaper.tick().await;
    }
    let ours = "FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    let calls = world.number(format!("SELECT coalesce(sum(calls), 0)::bigint {ours}")).await;
    let milliseconds = world.number(format!("SELECT coalesce(sum(total_exec_time), 0)::bigint {ours}")).await;
    // Each tick: uptime, expire, promote, cancel_wanted. Each tenth of a lease, which is short in these tests, keep_watch,
    // and then a survey because keep_watch has changed a row.
    assert!((4 * TICKS..=6 * TICKS).contains(&calls), "{calls} statements in {TICKS} ticks");
    assert!(milliseconds <= TICKS * 20, "{milliseconds} ms for {TICKS} ticks");
}
