//! Waiting for hints: woken, left, frozen.

use crate::{LEASE, SOON, TIMEOUT, connect, new_ids, queue, settings};
use futures_util::poll;
use leasehold_handoff::{Handoff, HeadStats, Taken};
use leasehold_tests::{RedisServer, eventually};
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant};

/// No wait in these tests ends by itself.
const LONG: Duration = Duration::from_secs(300);

async fn blocked_clients(mut connection: MultiplexedConnection) -> u32 {
    let info: String = redis::cmd("INFO").arg("clients").query_async(&mut connection).await.expect("INFO");
    let blocked = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    blocked.and_then(|count| count.trim().parse().ok()).expect("a number of blocked clients")
}

async fn until_blocked(connection: &MultiplexedConnection, wanted: u32) {
    let look = || async {
        let blocked = blocked_clients(connection.clone()).await;
        if blocked == wanted { Ok(()) } else { Err(blocked) }
    };
    eventually(&format!("{wanted} clients wait"), SOON, look).await;
}

#[tokio::test]
async fn a_hint_that_comes_is_taken_and_then_leased() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let ids = new_ids(2);
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let taking = tokio::spawn(async move { taker.take(LONG).await });
    until_blocked(&connection, 1).await;

    handoff.push(&queue(), &ids, false).await.expect("push");
    let taken = taking.await.expect("the taker").expect("take");
    assert_eq!(taken, Some(ids[0]));
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, claimed: 1, waiting_members: 2, ..HeadStats::default() });

    let claimed = handoff.claim(&queue(), &ids[..1], &[], 0, LEASE).await.expect("claim");
    assert_eq!(claimed, Taken { ids: ids[..1].to_vec(), ..Taken::default() });
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, leased: 1, waiting_members: 1, ..HeadStats::default() });
}

#[tokio::test]
async fn an_empty_wait_ends_with_its_time_and_outlasts_the_timeout_of_commands() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let longer = TIMEOUT + Duration::from_millis(300);
    let start = Instant::now();
    assert_eq!(taker.take(longer).await.expect("take"), None);
    assert!(start.elapsed() >= longer, "{:?}", start.elapsed());
    assert_eq!(taker.take(Duration::ZERO).await.expect("no time is not for ever"), None);
}

#[tokio::test]
async fn a_woken_taker_returns_nothing_and_can_go_on() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let unblock = taker.unblock();

    for _ in 0..3 {
        let taking = tokio::spawn(async move { (taker.take(LONG).await, taker) });
        until_blocked(&connection, 1).await;
        unblock.wake().await.expect("wake");
        let (taken, same) = taking.await.expect("the taker");
        assert_eq!(taken.expect("take"), None);
        taker = same;
    }
    let ids = new_ids(1);
    handoff.push(&queue(), &ids, false).await.expect("push");
    assert_eq!(taker.take(LONG).await.expect("take"), Some(ids[0]));
}

#[tokio::test]
async fn a_wake_is_not_lost_whenever_it_comes() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let unblock = taker.unblock();
    unblock.wake().await.expect("a wake before the take");
    assert_eq!(taker.take(LONG).await.expect("take"), None);
    for _ in 0..20 {
        let (taken, woken) = tokio::join!(taker.take(LONG), unblock.wake());
        woken.expect("a wake side by side with the take");
        assert_eq!(taken.expect("take"), None);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_wake_waits_for_a_take_that_is_still_on_its_way_to_the_server() {
    let server = RedisServer::start().await;
    // No connection but the taker's may be driven by this thread, which stands still for a while.
    let handoff = Handoff::connect_lazily(&settings(&server.url)).expect("a URL");
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let unblock = taker.unblock();
    let mut take = Box::pin(taker.take(LONG));
    assert!(poll!(&mut take).is_pending());

    let waking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(unblock.wake())
    });
    let client = redis::Client::open(server.url.as_str()).expect("a URL");
    let mut connection = client.get_connection().expect("a connection");
    let until = Instant::now() + SOON;
    loop {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).expect("INFO");
        if stats.contains("cmdstat_client|unblock") {
            break;
        }
        assert!(Instant::now() < until, "nobody tries to wake the taker: {stats}");
    }
    let taken = tokio::time::timeout(SOON, take).await.expect("it is woken");
    assert_eq!(taken.expect("take"), None);
    waking.join().expect("the waker").expect("wake");
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_waits_is_not_given_hints() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut take = Box::pin(taker.take(LONG));
    assert!(poll!(&mut take).is_pending());
    until_blocked(&connection, 1).await;
    drop(take);
    // The connection goes with the caller, though the taker is still here.
    until_blocked(&connection, 0).await;
    handoff.push(&queue(), &new_ids(1), false).await.expect("push");
    assert_eq!(handoff.stats(&queue()).await.expect("stats").ready, 1);
    let error = taker.take(LONG).await.expect_err("the connection is gone").to_string();
    assert!(error.contains("make a new taker"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_hint_given_to_a_caller_that_left_is_not_lost() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let ids = new_ids(2);
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut take = Box::pin(taker.take(LONG));
    assert!(poll!(&mut take).is_pending());
    until_blocked(&connection, 1).await;

    // This thread alone drives the taker's connection, and stands still while the server gives it the hint.
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let producer = connect(&server).await;
                producer.push(&queue(), &ids, false).await.expect("push");
                producer.stats(&queue()).await.expect("stats")
            })
        });
        let stats = elsewhere.join().expect("the producer");
        assert_eq!(stats, HeadStats { ready: 1, claimed: 1, waiting_members: 2, ..HeadStats::default() });
    });
    drop(take);
    drop(taker);

    assert_eq!(handoff.adopt(&queue(), Duration::ZERO).await.expect("adopt"), 1);
    let expired = handoff.expired(&queue(), 9).await.expect("expired");
    assert_eq!(expired, ids[..1]);
    handoff.release(&queue(), &expired).await.expect("release");
    let taken = handoff.claim(&queue(), &[], &[], 9, LEASE).await.expect("claim");
    assert_eq!(taken.ids, ids, "back at the front");
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_noticed() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    server.server().freeze();
    let start = Instant::now();
    let error = taker.take(Duration::from_millis(100)).await.expect_err("a frozen server").to_string();
    assert!(start.elapsed() < TIMEOUT + SOON, "{:?}", start.elapsed());
    assert_eq!(error, "waiting for a hint: no answer within 2.1s");
    server.server().thaw();
    let error = taker.take(LONG).await.expect_err("the connection is gone").to_string();
    assert!(error.contains("make a new taker"), "{error}");
    handoff.taker(&queue()).await.expect("a new taker").take(Duration::ZERO).await.expect("take");
}

#[tokio::test]
async fn a_server_that_is_gone_is_noticed_at_once() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let taking = tokio::spawn(async move { taker.take(LONG).await });
    until_blocked(&connection, 1).await;
    server.server().kill();
    let error = tokio::time::timeout(SOON, taking).await.expect("in time").expect("the taker").expect_err("no server");
    assert!(error.to_string().starts_with("waiting for a hint: "), "{error}");
}

#[tokio::test]
async fn what_is_no_id_is_forgotten() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut push = redis::cmd("RPUSH");
    push.arg("leasehold:{default}:ready").arg(b"\xffno id".as_slice()).arg("another");
    push.exec_async(&mut server.connect().await).await.expect("damage");
    assert_eq!(taker.take(LONG).await.expect("take"), None);
    assert_eq!(handoff.claim(&queue(), &[], &[], 9, LEASE).await.expect("claim").ids, []);
    assert_eq!(handoff.stats(&queue()).await.expect("stats"), HeadStats::default());
}
