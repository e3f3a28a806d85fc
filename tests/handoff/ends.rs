//! What is said to clients that wait, and to people who ask about a job.

use crate::{LEASE, SOON, Server, connect, new_ids, queue};
use leasehold_core::JobId;
use leasehold_ports::HintPlace;
use leasehold_tests::{eventually, hints};
use tokio::sync::mpsc::Receiver;

/// Sends a message again and again until the listener gets it, because the test cannot know when the listener has
/// connected.
async fn until_heard(handoff: &crate::Handoff, ends: &mut Receiver<Vec<JobId>>) {
    let knock = new_ids(1);
    let mut heard = false;
    while !heard {
        eventually("the server takes a message", SOON, || async {
            handoff.tell_ends(&knock).await.map_err(|error| error.to_string())
        })
        .await;
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), ends.recv()).await;
        heard = next.is_ok_and(|ids| ids.as_ref() == Some(&knock));
    }
    while ends.try_recv().is_ok() {}
}

/// The next message about these jobs. A late one of [`until_heard`] may come before it.
async fn next_about(ends: &mut Receiver<Vec<JobId>>, ids: &[JobId]) -> Vec<JobId> {
    loop {
        let said = ends.recv().await.expect("a message");
        if said.iter().any(|id| ids.contains(id)) {
            return said;
        }
    }
}

#[tokio::test]
async fn every_client_that_listens_hears_which_jobs_have_ended() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let (mut one, mut other) = (handoff.listen_to_ends(), handoff.listen_to_ends());
    until_heard(&handoff, &mut one).await;
    until_heard(&handoff, &mut other).await;
    while one.try_recv().is_ok() {}
    let ids = new_ids(1000);
    handoff.tell_ends(&ids).await.expect("told");
    handoff.tell_ends(&[]).await.expect("nothing is said");
    handoff.tell_ends(&ids[..1]).await.expect("told");
    for ends in [&mut one, &mut other] {
        assert_eq!(next_about(ends, &ids).await, ids);
        assert_eq!(next_about(ends, &ids).await, ids[..1]);
        assert!(ends.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_hint_is_found_where_it_is() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(2);
    let place = async |id| handoff.find_hint(&queue(), id).await.expect("a look");
    assert_eq!(place(ids[0]).await, HintPlace::Absent);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    assert_eq!(place(ids[1]).await, HintPlace::Waiting);
    let taken = handoff.take(&queue(), &[], &[], 1, LEASE).await.expect("take").ids;
    assert_eq!(place(taken[0]).await, HintPlace::Leased);
    handoff.ack(&[(queue(), taken.clone())]).await.expect("ack");
    assert_eq!(place(taken[0]).await, HintPlace::Absent);
}
