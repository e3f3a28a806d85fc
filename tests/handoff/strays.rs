//! Members that are no ids: they are seen, and forgotten.

use crate::{SOON, connect, new_ids, queue};
use leasehold_handoff::{HeadStats, Held, Stray};
use leasehold_tests::{RedisServer, hints};
use redis::Cmd;

/// A command written by hand, with the key of the default queue.
fn by_hand(command: &str, key: &str, arguments: &[&str]) -> Cmd {
    redis::cmd(command).arg(format!("leasehold:{{default}}:{key}")).arg(arguments).to_owned()
}

#[tokio::test]
async fn what_does_not_belong_here_is_told_and_can_be_forgotten() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let ids = new_ids(1);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
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
async fn what_is_no_id_is_forgotten() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut taker = handoff.taker(&queue()).await.expect("taker");
    let mut push = redis::cmd("RPUSH");
    push.arg("leasehold:{default}:ready").arg(b"\xffno id".as_slice()).arg("another");
    push.exec_async(&mut server.connect().await).await.expect("damage");
    assert_eq!(taker.take(SOON).await.expect("take"), None);
    assert_eq!(handoff.take(&queue(), &[], &[], 9, SOON).await.expect("take").ids, []);
    assert_eq!(handoff.stats(&queue()).await.expect("stats"), HeadStats::default());
}

#[tokio::test]
async fn a_score_by_hand_may_be_any_number() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let ids = new_ids(3);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let scores = ["-inf", &texts[0], "+inf", &texts[1], "1e300", &texts[2]];
    by_hand("ZADD", "leases", &scores).exec_async(&mut connection).await.expect("damage");
    let held = handoff.snapshot(&queue()).await.expect("snapshot").held;
    let leased: Vec<_> = held.iter().filter(|(_, held)| *held != Held::Waiting).collect();
    assert!(matches!(leased[..], [(id, Held::Leased { ms_left: i64::MIN..0 })] if *id == ids[0]), "{held:?}");
}
