//! What is said to workers.

use crate::{LEASE, SOON, connect, kind, new_ids, queue};
use leasehold_core::{JobId, WorkerId};
use leasehold_handoff::{Handoff, Notice};
use leasehold_tests::{RedisServer, eventually};
use tokio::sync::mpsc::{Receiver, error::TryRecvError};

fn cancel() -> Notice {
    Notice::Cancel { id: JobId::new(), epoch: 3, worker: WorkerId::new() }
}

/// Says something until it is heard: nobody knows when the listener has got through.
async fn until_heard(handoff: &Handoff, notices: &mut Receiver<Notice>) {
    let knock = cancel();
    let (handoff, knock) = (handoff, &knock);
    let mut heard = false;
    while !heard {
        eventually("the server takes a notice", SOON, || async {
            handoff.notify(std::slice::from_ref(knock)).await.map_err(|error| error.to_string())
        })
        .await;
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), notices.recv()).await;
        heard = next.is_ok_and(|notice| notice.as_ref() == Some(knock));
    }
    while notices.try_recv() != Err(TryRecvError::Empty) {}
}

#[tokio::test]
async fn what_is_said_is_heard_also_after_the_connection_was_lost() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut notices = handoff.listen();
    until_heard(&handoff, &mut notices).await;

    let said = [cancel(), cancel()];
    handoff.notify(&said).await.expect("notify");
    assert_eq!([notices.recv().await, notices.recv().await], said.map(Some));

    let ids = new_ids(1);
    handoff.push(&queue(), &ids, false).await.expect("push");
    handoff.claim(&queue(), &[], &[], 1, LEASE).await.expect("claim");
    handoff.set_aside(&queue(), &kind("paint"), &ids).await.expect("set aside");
    assert_eq!(notices.recv().await, Some(Notice::Aside { queue: queue(), kind: kind("paint") }));
    handoff.set_aside(&queue(), &kind("paint"), &ids).await.expect("set aside what is aside");
    assert_eq!(notices.try_recv(), Err(TryRecvError::Empty), "nothing new, nothing said");

    server.server().kill();
    server.server().start_again().expect("Redis again");
    until_heard(&handoff, &mut notices).await;
}

#[tokio::test]
async fn a_listener_that_leaves_gives_its_connection_back() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let connection = server.connect().await;
    let mut notices = handoff.listen();
    until_heard(&handoff, &mut notices).await;
    let subscribers = || {
        let mut connection = connection.clone();
        async move {
            let mut count = redis::cmd("PUBSUB");
            count.arg("NUMSUB").arg("leasehold:notices");
            let (_, count): (String, u32) = count.query_async(&mut connection).await.expect("PUBSUB");
            if count == 0 { Ok(()) } else { Err(count) }
        }
    };
    assert_eq!(subscribers().await, Err(1));
    drop(notices);
    eventually("nobody listens any more", SOON, subscribers).await;
}
