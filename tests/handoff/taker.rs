//! Waiting for hints: served, woken, left.

use crate::{LEASE, Server, TIMEOUT, connect, new_ids, queue};
use futures_util::poll;
use leasehold_handoff::{HeadStats, Taken};
use leasehold_tests::hints;
use std::time::{Duration, Instant};

/// No wait in these tests ends by itself.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_hint_that_comes_is_taken_and_then_leased() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(2);
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let taking = tokio::spawn(async move { taker.take(LONG).await });
    server.until_waiting(1).await;

    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    let taken = taking.await.expect("the taker").expect("take");
    assert_eq!(taken, Some(ids[0]));
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, claimed: 1, waiting_members: 2, ..HeadStats::default() });

    let claimed = handoff.take(&queue(), &ids[..1], &[], 0, LEASE).await.expect("take");
    assert_eq!(claimed, Taken { ids: ids[..1].to_vec(), ..Taken::default() });
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, leased: 1, waiting_members: 1, ..HeadStats::default() });
}

#[tokio::test]
async fn an_empty_wait_ends_with_its_time_and_outlasts_the_timeout_of_commands() {
    let server = Server::start().await;
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
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let unblock = taker.unblock();

    for _ in 0..3 {
        let taking = tokio::spawn(async move { (taker.take(LONG).await, taker) });
        server.until_waiting(1).await;
        unblock.wake().await.expect("wake");
        let (taken, same) = taking.await.expect("the taker");
        assert_eq!(taken.expect("take"), None);
        taker = same;
    }
    let ids = new_ids(1);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    assert_eq!(taker.take(LONG).await.expect("take"), Some(ids[0]));
}

#[tokio::test]
async fn a_wake_is_not_lost_whenever_it_comes() {
    let server = Server::start().await;
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

#[tokio::test]
async fn a_caller_that_leaves_while_it_waits_is_not_given_hints() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut take = Box::pin(taker.take(LONG));
    assert!(poll!(&mut take).is_pending());
    server.until_waiting(1).await;
    drop(take);
    // The connection goes with the caller, though the taker is still here.
    server.until_waiting(0).await;
    handoff.push(&queue(), &hints(&new_ids(1))).await.expect("push");
    assert_eq!(handoff.stats(&queue()).await.expect("stats").ready, 1);
    let error = taker.take(LONG).await.expect_err("the connection is gone").to_string();
    assert!(error.contains("make a new taker"), "{error}");
}
