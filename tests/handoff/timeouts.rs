//! A server that does not answer, and one that comes back.

use crate::{SOON, TIMEOUT, connect, new_ids, queue, settings};
use leasehold_handoff::{Error, Handoff, Settings};
use leasehold_tests::{RedisServer, eventually, hints};
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant};

/// What a busy machine may add to a time limit before it is called broken.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_command_ends_within_its_time_and_the_next_one_works() {
    let server = RedisServer::start().await;
    let timeout = Duration::from_millis(300);
    let handoff = Handoff::connect(&Settings { timeout, ..settings(&server.url) }).await.expect("a fit Redis");
    let mut connection = server.connect().await;
    for round in 0..3 {
        let before = connections_so_far(&mut connection).await;
        server.server().freeze();
        let start = Instant::now();
        let error = handoff.push(&queue(), &hints(&new_ids(1))).await.expect_err("a frozen server");
        assert!(start.elapsed() < timeout + SLACK, "round {round}: {:?}", start.elapsed());
        assert!(matches!(error, Error::Redis { .. } | Error::Pool { .. }), "{error:?}");
        assert!(error.to_string().starts_with("pushing hints: no "), "{error}");
        server.server().thaw();
        handoff.ping().await.expect("the answer to the next command, not to the last one");
        assert_eq!(handoff.take(&queue(), &[], &[], 0, timeout).await.expect("take").ids, []);
        assert!(
            connections_so_far(&mut connection).await > before,
            "a connection that owes an answer is not used again"
        );
    }
}

async fn connections_so_far(connection: &mut MultiplexedConnection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("stats").query_async(connection).await.expect("INFO");
    let made = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    made.and_then(|made| made.trim().parse().ok()).expect("a number of connections")
}

#[tokio::test]
async fn a_server_that_holds_writes_back_counts_as_no_answer() {
    let server = RedisServer::start().await;
    let timeout = Duration::from_millis(200);
    let handoff = Handoff::connect(&Settings { timeout, ..settings(&server.url) }).await.expect("a fit Redis");
    let mut connection = server.connect().await;
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec_async(&mut connection).await.expect("CLIENT PAUSE");
    let error = handoff.push(&queue(), &hints(&new_ids(1))).await.expect_err("a paused server").to_string();
    assert_eq!(error, "pushing hints: no answer within 200ms");
    redis::cmd("CLIENT").arg("UNPAUSE").exec_async(&mut connection).await.expect("CLIENT UNPAUSE");
    handoff.push(&queue(), &hints(&new_ids(1))).await.expect("push");
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    handoff.ping().await.expect("ping");
    server.server().kill();
    let start = Instant::now();
    let error = handoff.ping().await.expect_err("no server").to_string();
    assert!(start.elapsed() < TIMEOUT + SLACK, "{:?}", start.elapsed());
    assert!(error.starts_with("pinging Redis: "), "{error}");
    server.server().start_again().expect("Redis again");
    let look = || async { handoff.ping().await.map_err(|error| error.to_string()) };
    eventually("the new server answers", SOON, look).await;
    handoff.push(&queue(), &hints(&new_ids(1))).await.expect("push");
}
