//! Batches longer than one call of Redis takes from Lua.

use crate::{LEASE, new_ids, queue, settings};
use leasehold_handoff::{Filled, Handoff, Pushed, Settings, Swept};
use leasehold_tests::{RedisServer, hints, unused, urgent};
use redis::aio::MultiplexedConnection;

/// More than any script puts into one call, more than Lua can unpack, and no multiple of either.
const MANY: usize = 9_001;

async fn connect(server: &RedisServer) -> (Handoff, MultiplexedConnection) {
    let settings = Settings { head_max: 10_000, ..settings(&server.url) };
    (Handoff::connect(&settings).await.expect("a fit Redis"), server.connect().await)
}

#[tokio::test]
async fn all_of_it_goes_round_in_order() {
    let server = RedisServer::start().await;
    let (handoff, _) = connect(&server).await;
    let ids = new_ids(MANY);
    let all = u32::try_from(MANY).expect("a count");
    let everything = Pushed { pushed: all, ..Pushed::default() };
    assert_eq!(handoff.push(&queue(), &hints(&ids)).await.expect("push"), everything);
    assert_eq!(handoff.take(&queue(), &[], &[], all, LEASE).await.expect("take").ids, ids);
    handoff.ack(&[(queue(), ids.clone())]).await.expect("ack");
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").held, []);
    handoff.renew(&[(queue(), ids.clone())], LEASE).await.expect("renew");
    handoff.release(&queue(), &unused(&ids)).await.expect("release");
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, ids);
}

#[tokio::test]
async fn a_full_head_makes_room_before_its_hints_for_as_many_again() {
    let server = RedisServer::start().await;
    let (handoff, _) = connect(&server).await;
    let (ids, first) = (new_ids(MANY), new_ids(MANY));
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    let pushed = handoff.push(&queue(), &urgent(&first)).await.expect("push");
    assert_eq!((pushed.pushed, pushed.overflowed), (9_001, 8_002));
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!(snapshot.ready, [&first[..], &ids[..999]].concat());
    assert_eq!(snapshot.held.len(), 10_000);
}

#[tokio::test]
async fn a_fill_and_a_sweep_of_a_long_head() {
    let server = RedisServer::start().await;
    let (handoff, mut connection) = connect(&server).await;
    let ids = new_ids(MANY);
    let all = u32::try_from(MANY).expect("a count");
    let odd: Vec<_> = ids.iter().copied().skip(1).step_by(2).collect();
    let missing = all - u32::try_from(odd.len()).expect("a count");
    handoff.push(&queue(), &hints(&odd)).await.expect("push");
    let filled = handoff.fill(&queue(), &hints(&ids), false, None).await.expect("a fill in between");
    assert_eq!(filled, Filled { pushed: missing, held: all - missing, swept: Swept::default() });
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, ids);

    redis::cmd("DEL").arg("leasehold:{default}:leases").exec_async(&mut connection).await.expect("damage");
    let mut double = redis::cmd("RPUSH");
    double.arg("leasehold:{default}:ready").arg(ids[0].to_string()).exec_async(&mut connection).await.expect("damage");
    let swept = handoff.sweep(&queue()).await.expect("sweep");
    assert_eq!(swept, Swept { orphans: 0, readmitted: all, dropped: 1 });
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, ids);
}
