//! A server in cluster mode refuses commands and scripts whose keys lie in more than one slot.

use crate::{LEASE, SOON, connect, kind, new_ids, queue};
use leasehold_core::WorkerId;
use leasehold_handoff::{Served, Swept, WorkerRecord};
use leasehold_servers::RedisOptions;
use leasehold_tests::{RedisServer, eventually, hints, unused};

#[tokio::test]
async fn keys_of_one_call_lie_in_one_slot() {
    let settings = vec!["cluster-enabled yes".to_owned()];
    let server = RedisServer::start_with(RedisOptions { keep: false, password: false, settings }).await;
    let connection = server.connect().await;
    let mut all_slots = redis::cmd("CLUSTER");
    all_slots.arg("ADDSLOTSRANGE").arg(0).arg(16383);
    all_slots.exec_async(&mut connection.clone()).await.expect("CLUSTER ADDSLOTSRANGE");
    let look = || {
        let mut connection = connection.clone();
        async move {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.expect("CLUSTER");
            if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
        }
    };
    eventually("the cluster is up", SOON, look).await;

    let handoff = connect(&server).await;
    let ids = new_ids(4);
    let leased = [(queue(), ids[1..2].to_vec()), ("other".parse().expect("a name"), new_ids(1))];
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    handoff.take(&queue(), &ids[..1], &[kind("saw"), kind("paint")], 2, LEASE).await.expect("take");
    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids[..1])).await.expect("set aside");
    handoff.take(&queue(), &[], &[kind("paint")], 0, LEASE).await.expect("take");
    handoff.renew(&leased, LEASE).await.expect("renew");
    handoff.release(&queue(), &unused(&ids[1..2])).await.expect("release");
    handoff.ack(&leased).await.expect("ack");
    assert_eq!(handoff.adopt(&queue(), LEASE).await.expect("adopt"), 0);
    assert_eq!(handoff.expired(&queue(), 9).await.expect("expired"), []);
    handoff.fill(&queue(), &hints(&ids), true, Some("here")).await.expect("fill");
    handoff.tail(&queue()).await.expect("tail");
    let reading = handoff.begin_readings(&[queue()]).await.expect("a reading")[0];
    handoff.extend(&queue(), reading, "here", "there", &hints(&ids)).await.expect("extend");
    assert_eq!(handoff.sweep(&queue()).await.expect("sweep"), Swept::default());
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").held.len(), ids.len());
    handoff.forget(&queue(), &[ids[0].to_string().into_bytes()]).await.expect("forget");
    assert!(handoff.lock_fill(&queue(), LEASE).await.expect("lock"));
    assert_eq!(handoff.taker(&queue()).await.expect("taker").take(LEASE).await.expect("take"), Some(ids[1]));
    handoff.pause(&queue()).await.expect("pause");
    assert!(handoff.stats(&queue()).await.expect("stats").paused);
    handoff.resume(&queue()).await.expect("resume");
    assert_eq!(handoff.queues().await.expect("queues"), [queue()]);

    let worker = WorkerRecord {
        id: WorkerId::new(),
        host: "host".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        queues: vec![(queue(), 4)],
        kinds: None,
        running: 0,
        oldest_run_s: None,
        draining: false,
        http: None,
    };
    handoff.announce(&worker, LEASE).await.expect("announce");
    assert_eq!(handoff.served_kinds(&queue()).await.expect("kinds"), Served::Every);
    assert_eq!(handoff.workers().await.expect("workers"), [worker]);
}
