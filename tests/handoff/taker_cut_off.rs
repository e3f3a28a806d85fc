//! Waiting for hints on a connection that stands still, is left or is cut.

use crate::{LEASE, SOON, Server, TIMEOUT, connect, new_ids, queue, settings};
use futures_util::poll;
use leasehold_handoff::{Handoff, HeadStats};
use leasehold_tests::{hints, unused};
use std::time::{Duration, Instant};

/// No wait in these tests ends by itself.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "current_thread")]
async fn a_wake_waits_for_a_take_that_is_still_on_its_way_to_the_server() {
    let server = Server::start().await;
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

#[tokio::test(flavor = "current_thread")]
async fn a_hint_given_to_a_caller_that_left_is_not_lost() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(2);
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut take = Box::pin(taker.take(LONG));
    assert!(poll!(&mut take).is_pending());
    server.until_waiting(1).await;

    // This thread alone drives the taker's connection, and stands still while the server gives it the hint.
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let producer = connect(&server).await;
                producer.push(&queue(), &hints(&ids)).await.expect("push");
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
    handoff.release(&queue(), &unused(&expired)).await.expect("release");
    let taken = handoff.take(&queue(), &[], &[], 9, LEASE).await.expect("take");
    assert_eq!(taken.ids, ids, "back at the front");
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_noticed() {
    let server = Server::start().await;
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
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let taking = tokio::spawn(async move { taker.take(LONG).await });
    server.until_waiting(1).await;
    server.server().kill();
    let error = tokio::time::timeout(SOON, taking).await.expect("in time").expect("the taker").expect_err("no server");
    assert!(error.to_string().starts_with("waiting for a hint: "), "{error}");
}
