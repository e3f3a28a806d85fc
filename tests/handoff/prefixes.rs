//! Two prefixes of keys on one server.

use crate::{HEAD_MAX, LEASE, SOON, TIMEOUT, new_ids, notices::until_heard, queue};
use leasehold_core::{JobId, WorkerId};
use leasehold_handoff::{Handoff, Notice, Settings};
use leasehold_tests::{RedisServer, hints};
use tokio::sync::mpsc::error::TryRecvError;
use uuid::Uuid;

async fn with_prefix(server: &RedisServer, prefix: &str) -> Handoff {
    let key_prefix = prefix.parse().expect("a prefix");
    let settings = Settings {
        ca_file: None,
        url: server.url.clone().into(),
        key_prefix,
        head_max: HEAD_MAX,
        max_connections: 8,
        timeout: TIMEOUT,
    };
    Handoff::connect(&settings).await.expect("a fit Redis")
}

#[tokio::test]
async fn two_prefixes_share_nothing() {
    let server = RedisServer::start().await;
    let (one, other) = (with_prefix(&server, "one").await, with_prefix(&server, "other").await);
    let (mut heard_by_one, mut heard_by_other) = (one.listen(), other.listen());
    until_heard(&one, &mut heard_by_one).await;
    until_heard(&other, &mut heard_by_other).await;
    while heard_by_one.try_recv() != Err(TryRecvError::Empty) {}

    let ids = new_ids(3);
    one.push(&queue(), &hints(&ids)).await.expect("push");
    one.announce_reaper(Uuid::new_v4(), SOON).await.expect("announce");
    let (generation, _) = one.generation().await.expect("a generation");
    let cancel = Notice::Cancel { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
    one.notify(std::slice::from_ref(&cancel)).await.expect("notify");
    assert_eq!(heard_by_one.recv().await, Some(cancel));

    assert_eq!(other.take(&queue(), &[], &[], 9, LEASE).await.expect("take").ids, []);
    assert_eq!((other.queues().await.expect("queues"), other.reapers().await.expect("reapers")), (vec![], 0));
    assert!(!other.has_generation().await.expect("a look"));
    assert_ne!(other.generation().await.expect("a generation").0, generation);
    let own = Notice::Cancel { id: JobId::new(), epoch: 2, worker: WorkerId::new() };
    other.notify(std::slice::from_ref(&own)).await.expect("notify");
    assert_eq!(heard_by_other.recv().await, Some(own), "the first that the other hears is its own");
    assert_eq!(one.take(&queue(), &[], &[], 9, LEASE).await.expect("take").ids, ids);
}
