//! Damage in Redis: it is found, classified, and repaired.

use crate::{LEASE, Server, connect, kind, new_ids, queue};
use leasehold_handoff::{Filled, Held, Swept};
use leasehold_tests::hints;

#[tokio::test]
async fn a_snapshot_shows_all_there_is() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(4);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    handoff.take(&queue(), &[], &[], 2, LEASE).await.expect("take");
    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids[..1])).await.expect("set aside");
    server.take_by_hand().await;

    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!(snapshot.ready, ids[3..]);
    assert_eq!(snapshot.claimed, ids[2..3]);
    assert_eq!(snapshot.aside, [(kind("paint"), ids[..1].to_vec())]);
    assert_eq!((snapshot.paused, snapshot.overflow, snapshot.strays), (false, false, vec![]));
    let lease_ms = i64::try_from(LEASE.as_millis()).expect("a lease");
    for id in &ids {
        let (_, held) = snapshot.held.iter().find(|(held, _)| held == id).expect("every id is known");
        match held {
            Held::Waiting => assert_ne!(*id, ids[1]),
            Held::Leased { ms_left } => {
                assert_eq!(*id, ids[1]);
                assert!((lease_ms - 60_000..=lease_ms).contains(ms_left), "{ms_left} ms left of {lease_ms}");
            }
        }
    }
}

#[tokio::test]
async fn a_fill_repairs_a_list_or_a_set_that_was_deleted() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let line = new_ids(5);
    handoff.push(&queue(), &hints(&line)).await.expect("push");

    server.lose_list().await;
    let filled = handoff.fill(&queue(), &hints(&line), false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 5, held: 0, swept: Swept { orphans: 5, ..Swept::default() } });

    server.lose_set().await;
    let filled = handoff.fill(&queue(), &hints(&line), false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 0, held: 5, swept: Swept { readmitted: 5, ..Swept::default() } });

    server.repeat_at_front(line[4]).await;
    let filled = handoff.fill(&queue(), &hints(&line), false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 0, held: 5, swept: Swept { dropped: 1, ..Swept::default() } });
    assert_eq!(handoff.fill(&queue(), &[], false, None).await.expect("fill"), Filled::default());

    server.lose_everything().await;
    let filled = handoff.fill(&queue(), &hints(&line), false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 5, ..Filled::default() });
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, line);
}
