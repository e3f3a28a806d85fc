//! Listening on a connection that is cut or left.

use crate::{SOON, Server, connect, notices::until_heard};
use leasehold_tests::eventually;

#[tokio::test]
async fn it_listens_again_after_the_connection_was_lost() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut notices = handoff.listen();
    until_heard(&handoff, &mut notices).await;
    server.server().kill();
    server.server().start_again().expect("Redis again");
    until_heard(&handoff, &mut notices).await;
}

#[tokio::test]
async fn a_listener_that_leaves_gives_its_connection_back() {
    let server = Server::start().await;
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
