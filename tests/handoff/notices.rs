//! What is said to workers.

use crate::{LEASE, SOON, Server, connect, kind, new_ids, queue};
use leasehold_core::{JobId, WorkerId};
use leasehold_handoff::Notice;
use leasehold_tests::{eventually, hints};
use tokio::sync::mpsc::{Receiver, error::TryRecvError};

fn cancel() -> Notice {
    Notice::Cancel { id: JobId::new(), epoch: 3, worker: WorkerId::new() }
}

/// Sends a notice again and again until the listener gets it, because the test cannot know when the listener has
/// connected.
pub(crate) async fn until_heard(handoff: &crate::Handoff, notices: &mut Receiver<Notice>) {
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
async fn what_is_said_is_heard() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let mut notices = handoff.listen();
    until_heard(&handoff, &mut notices).await;

    let said = [cancel(), cancel()];
    handoff.notify(&said).await.expect("notify");
    assert_eq!([notices.recv().await, notices.recv().await], said.map(Some));

    let ids = new_ids(1);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    handoff.take(&queue(), &[], &[], 1, LEASE).await.expect("take");
    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids)).await.expect("set aside");
    assert_eq!(notices.recv().await, Some(Notice::Aside { queue: queue(), kind: kind("paint") }));
    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids)).await.expect("set aside what is aside");
    assert_eq!(notices.try_recv(), Err(TryRecvError::Empty), "nothing new, nothing said");
}
