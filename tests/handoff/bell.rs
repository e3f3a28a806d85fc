//! Waiting for the bell: as many are woken as there is work for, and none sleeps while there is some.

use crate::{LEASE, SOON, Server, connect, new_ids, queue};
use leasehold_core::QueueName;
use leasehold_handoff::Taken;
use leasehold_tests::hints;
use std::time::Duration;

/// No wait in these tests ends by itself.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn who_hears_it_and_leaves_hints_rings_for_the_next() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(5);
    let (mut waits, mut wakes) = (Vec::new(), Vec::new());
    for nth in 1..=3 {
        let mut taker = handoff.taker(&queue()).await.expect("taker");
        wakes.push(taker.unblock());
        waits.push(tokio::spawn(async move { taker.bell(LONG).await.expect("waiting for the bell") }));
        server.until_waiting(nth).await;
    }
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    server.until_waiting(2).await;
    let two = handoff.take(&queue(), &[], &[], 2, LEASE).await.expect("take");
    assert_eq!(two, Taken { ids: ids[..2].to_vec(), ..Taken::default() });
    server.until_waiting(1).await;
    let rest = handoff.take(&queue(), &[], &[], 500, LEASE).await.expect("take");
    assert_eq!(rest, Taken { ids: ids[2..].to_vec(), ..Taken::default() });
    // Whom that claim had to wake would be awake before its answer was here.
    server.until_waiting(1).await;
    wakes[2].wake().await.expect("wake");
    let heard = [waits.remove(0).await, waits.remove(0).await, waits.remove(0).await];
    assert_eq!(heard.map(|heard| heard.expect("a wait")), [true, true, false], "the longest wait ends first");
}

#[tokio::test]
async fn it_is_heard_once_and_by_one_who_comes_a_moment_late() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    assert!(!taker.bell(Duration::ZERO).await.expect("a wait"), "nothing has come yet");
    for ids in [new_ids(3), new_ids(2)] {
        handoff.push(&queue(), &hints(&ids)).await.expect("push");
    }
    assert!(taker.bell(SOON).await.expect("a wait"));
    assert!(!taker.bell(Duration::ZERO).await.expect("a wait"), "two pushes are one reason to look");
}

#[tokio::test]
async fn one_connection_hears_the_bells_of_many_queues() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let queues: Vec<QueueName> = (0..5).map(|nth| format!("queue-{nth}").parse().expect("a name")).collect();
    let mut taker = handoff.taker(&queues[0]).await.expect("taker");
    assert_eq!(taker.any_bell(&queues, Duration::ZERO).await.expect("a wait"), None, "nothing has come yet");
    assert_eq!(handoff.with_hints(&queues).await.expect("EXISTS"), []);
    handoff.push(&queues[3], &hints(&new_ids(2))).await.expect("push");
    assert_eq!(taker.any_bell(&queues, SOON).await.expect("a wait").as_ref(), Some(&queues[3]));
    assert_eq!(handoff.with_hints(&queues).await.expect("EXISTS"), [queues[3].clone()]);

    let unblock = taker.unblock();
    let waiting = tokio::spawn(async move { taker.any_bell(&queues, LONG).await.expect("a wait") });
    server.until_waiting(1).await;
    unblock.wake().await.expect("wake");
    assert_eq!(waiting.await.expect("a wait"), None, "woken without a bell");
}

#[tokio::test]
async fn what_a_fill_brings_is_rung_for() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(4);
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    handoff.fill(&queue(), &hints(&ids[..2]), true, Some("a place")).await.expect("fill");
    assert!(taker.bell(SOON).await.expect("a wait"));
    handoff.fill(&queue(), &hints(&ids[..2]), true, Some("a place")).await.expect("fill");
    assert!(!taker.bell(Duration::ZERO).await.expect("a wait"), "all of them were there");
    let reading = handoff.begin_readings(&[queue()]).await.expect("a reading")[0];
    handoff.extend(&queue(), reading, "a place", "another", &hints(&ids[2..])).await.expect("extend");
    assert!(taker.bell(SOON).await.expect("a wait"));
}
