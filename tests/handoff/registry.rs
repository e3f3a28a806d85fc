//! Who is there and what they serve.

use crate::{LEASE, SOON, Server, connect, kind, queue};
use leasehold_core::{Kind, QueueName, WorkerId};
use leasehold_handoff::{Served, WorkerRecord};
use leasehold_tests::eventually;
use std::time::Duration;

fn worker(queues: &[QueueName], kinds: Option<Vec<Kind>>) -> WorkerRecord {
    WorkerRecord {
        id: WorkerId::new(),
        host: "host".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        queues: queues.iter().map(|queue| (queue.clone(), 4)).collect(),
        kinds,
        running: 2,
    }
}

#[tokio::test]
async fn a_worker_is_there_while_it_says_so() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let other: QueueName = "other".parse().expect("a name");
    assert_eq!(handoff.workers().await.expect("workers"), []);
    assert_eq!(handoff.served_kinds(&queue()).await.expect("kinds"), Served::Unknown);

    let painter = worker(&[queue()], Some(vec![kind("paint")]));
    let sawyer = worker(&[queue(), other.clone()], Some(vec![kind("saw")]));
    handoff.announce(&painter, LEASE).await.expect("announce");
    handoff.announce(&sawyer, LEASE).await.expect("announce");
    assert_eq!(handoff.workers().await.expect("workers"), [painter.clone(), sawyer.clone()]);
    let Served::Only(mut kinds) = handoff.served_kinds(&queue()).await.expect("kinds") else { panic!("two kinds") };
    kinds.sort();
    assert_eq!(kinds, [kind("paint"), kind("saw")]);
    assert_eq!(handoff.served_kinds(&other).await.expect("kinds"), Served::Only(vec![kind("saw")]));

    let any = worker(&[queue()], None);
    handoff.announce(&any, LEASE).await.expect("announce");
    assert_eq!(handoff.served_kinds(&queue()).await.expect("kinds"), Served::Every);

    let busier = WorkerRecord { running: 4, ..painter };
    handoff.announce(&busier, LEASE).await.expect("announce again");
    handoff.withdraw(&sawyer).await.expect("withdraw");
    assert_eq!(handoff.workers().await.expect("workers"), [busier, any]);
    assert_eq!(handoff.queues().await.expect("queues"), [], "a served queue without hints has no work here");
}

#[tokio::test]
async fn a_worker_that_stops_saying_so_is_gone() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let gone = worker(&[queue()], Some(vec![kind("paint")]));
    let stays = worker(&[queue()], Some(vec![kind("saw")]));
    handoff.announce(&gone, Duration::from_millis(50)).await.expect("announce");
    handoff.announce(&stays, LEASE).await.expect("announce");
    let look = || async {
        let workers = handoff.workers().await.expect("workers");
        let seen = (workers, handoff.served_kinds(&queue()).await.expect("kinds"));
        let wanted = (vec![stays.clone()], Served::Only(vec![kind("saw")]));
        if seen == wanted { Ok(()) } else { Err(seen) }
    };
    eventually("only the other worker is there", SOON, look).await;
}
