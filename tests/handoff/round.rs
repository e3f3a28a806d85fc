//! The rounds a hint makes.

use crate::{LEASE, connect, new_ids, queue, redis_server::RedisServer};
use leasehold_handoff::{HeadStats, Held, Pushed, Taken};

#[tokio::test]
async fn a_hint_from_push_to_ack() {
    let server = RedisServer::start(&[]);
    let handoff = connect(&server).await;
    let ids = new_ids(3);

    let pushed = handoff.push(&queue(), &ids, false).await.expect("push");
    assert_eq!(pushed, Pushed { pushed: 3, ..Pushed::default() });
    assert_eq!(handoff.queues().await.expect("queues"), [queue()]);

    let taken = handoff.claim(&queue(), &[], &[], 2, LEASE).await.expect("claim");
    assert_eq!(taken, Taken { ids: ids[..2].to_vec(), ..Taken::default() });
    handoff.renew(&[(queue(), taken.ids.clone())], LEASE).await.expect("renew");
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, leased: 2, waiting_members: 1, ..HeadStats::default() });

    handoff.ack(&[(queue(), taken.ids)]).await.expect("ack");
    handoff.release(&queue(), &ids[2..]).await.expect("release of what waits");
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!((snapshot.ready, snapshot.held), (ids[2..].to_vec(), vec![(ids[2], Held::Waiting)]));

    handoff.forget(&queue(), &[ids[2].to_string().into_bytes()]).await.expect("forget");
    assert_eq!(handoff.queues().await.expect("queues"), [], "a queue without keys is no longer listed");
}
