//! Many takers at the same time.

use crate::{HEAD_MAX, LEASE, Server, connect, new_ids, queue};
use leasehold_tests::hints;
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_takers_get_what_is_there_each_hint_once() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    for round in 0..20 {
        let ids = new_ids(HEAD_MAX as usize);
        handoff.push(&queue(), &hints(&ids)).await.expect("push");
        let claims = (0..20).map(|_| {
            let handoff = handoff.clone();
            tokio::spawn(async move { handoff.take(&queue(), &[], &[], 3, LEASE).await.expect("take").ids })
        });
        let mut taken = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            taken.extend(claim.await.expect("a claimer"));
        }
        assert_eq!(taken.len(), ids.len(), "round {round}");
        assert_eq!(taken.iter().collect::<HashSet<_>>(), ids.iter().collect(), "round {round}");
        handoff.ack(&[(queue(), taken)]).await.expect("ack");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_pushes_of_one_id_are_one_hint() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(1);
    let pushes = (0..50).map(|_| {
        let (handoff, ids) = (handoff.clone(), ids.clone());
        tokio::spawn(async move { handoff.push(&queue(), &hints(&ids)).await.expect("push") })
    });
    let (mut pushed, mut doubles) = (0, 0);
    for push in pushes.collect::<Vec<_>>() {
        let push = push.await.expect("a producer");
        pushed += push.pushed;
        doubles += push.doubles;
    }
    assert_eq!((pushed, doubles), (1, 49));
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, ids);
}

#[tokio::test]
async fn a_queue_that_comes_into_use_while_it_is_struck_off_stays_listed() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    for round in 0..300 {
        let ids = new_ids(1);
        let push = async {
            // Now here, now there in what the other one does.
            for _ in 0..round % 30 {
                tokio::task::yield_now().await;
            }
            handoff.push(&queue(), &hints(&ids)).await.expect("push");
        };
        let (listed, ()) = tokio::join!(handoff.queues(), push);
        listed.expect("queues");
        assert_eq!(handoff.queues().await.expect("queues"), [queue()], "round {round}");
        handoff.forget(&queue(), &[ids[0].to_string().into_bytes()]).await.expect("forget");
    }
}
