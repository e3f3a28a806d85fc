//! Damage: it is seen, told apart, and put right.

use crate::{LEASE, connect, kind, new_ids, queue};
use leasehold_handoff::{Filled, Held, Stray, Swept};
use leasehold_tests::RedisServer;
use redis::Cmd;

/// A command made by hand: the key is that of the default queue.
fn by_hand(command: &str, key: &str, arguments: &[&str]) -> Cmd {
    redis::cmd(command).arg(format!("leasehold:{{default}}:{key}")).arg(arguments).to_owned()
}

#[tokio::test]
async fn a_snapshot_shows_all_there_is() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(4);
    handoff.push(&queue(), &ids, false).await.expect("push");
    handoff.claim(&queue(), &[], &[], 2, LEASE).await.expect("claim");
    handoff.set_aside(&queue(), &kind("paint"), &ids[..1]).await.expect("set aside");
    let mut connection = server.connect().await;
    by_hand("LMOVE", "ready", &["leasehold:{default}:claimed", "LEFT", "RIGHT"])
        .exec_async(&mut connection)
        .await
        .expect("LMOVE");

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
async fn what_does_not_belong_here_is_told_and_can_be_forgotten() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let ids = new_ids(1);
    handoff.push(&queue(), &ids, false).await.expect("push");
    let shouted = ids[0].to_string().to_uppercase();
    for damage in [
        by_hand("RPUSH", "ready", &["no id", &shouted]),
        by_hand("RPUSH", "claimed", &[""]),
        by_hand("ZADD", "leases", &["1", "ran out", "+inf", "waits"]),
        by_hand("SADD", "asides", &["no kind"]),
        by_hand("RPUSH", "aside:no kind", &["x"]),
    ] {
        damage.exec_async(&mut connection).await.expect("damage");
    }

    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!((&snapshot.ready, &snapshot.held), (&ids, &vec![(ids[0], Held::Waiting)]));
    let mut found: Vec<(&str, String)> = snapshot
        .strays
        .iter()
        .map(|Stray { key, member }| {
            (key.rsplit_once("}:").expect("a key of the queue").1, String::from_utf8_lossy(member).into_owned())
        })
        .collect();
    found.sort();
    let expected = [
        ("aside:no kind", "x"),
        ("asides", "no kind"),
        ("claimed", ""),
        ("leases", "ran out"),
        ("leases", "waits"),
        ("ready", shouted.as_str()),
        ("ready", "no id"),
    ];
    let expected: Vec<(&str, String)> = expected.into_iter().map(|(key, member)| (key, member.to_owned())).collect();
    assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());

    let members: Vec<Vec<u8>> = snapshot.strays.iter().map(|stray| stray.member.clone()).collect();
    handoff.forget(&queue(), &members).await.expect("forget");
    handoff.sweep(&queue()).await.expect("sweep");
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!((snapshot.ready, snapshot.held, snapshot.strays), (ids.clone(), vec![(ids[0], Held::Waiting)], vec![]));
}

#[tokio::test]
async fn an_expired_lease_of_what_is_no_id_does_not_come_back() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    by_hand("ZADD", "leases", &["1", "ran out"]).exec_async(&mut server.connect().await).await.expect("damage");
    assert_eq!(handoff.expired(&queue(), 9).await.expect("expired"), []);
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").strays, []);
}

#[tokio::test]
async fn a_fill_repairs_a_list_or_a_set_that_was_deleted() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let line = new_ids(5);
    handoff.push(&queue(), &line, false).await.expect("push");

    by_hand("DEL", "ready", &[]).exec_async(&mut connection).await.expect("damage");
    let filled = handoff.fill(&queue(), &line, false).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 5, held: 0, swept: Swept { orphans: 5, ..Swept::default() } });

    by_hand("DEL", "leases", &[]).exec_async(&mut connection).await.expect("damage");
    let filled = handoff.fill(&queue(), &line, false).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 0, held: 5, swept: Swept { readmitted: 5, ..Swept::default() } });

    by_hand("LPUSH", "ready", &[&line[4].to_string()]).exec_async(&mut connection).await.expect("damage");
    let filled = handoff.fill(&queue(), &line, false).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 0, held: 5, swept: Swept { dropped: 1, ..Swept::default() } });
    assert_eq!(handoff.fill(&queue(), &[], false).await.expect("fill"), Filled::default());

    redis::cmd("FLUSHALL").exec_async(&mut connection).await.expect("losing everything");
    let filled = handoff.fill(&queue(), &line, false).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 5, ..Filled::default() });
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, line);
}
