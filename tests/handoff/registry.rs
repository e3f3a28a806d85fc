//! The registry: which processes live, and what they serve.

use crate::{LEASE, SOON, Server, connect, kind, queue};
use leasehold_core::{JobId, Kind, QueueName, WorkerId};
use leasehold_handoff::{Fill, HeadStats, Served, WorkerRecord};
use leasehold_tests::{eventually, hints};
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
        oldest_run_s: None,
        draining: false,
        http: None,
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

#[tokio::test]
async fn several_queues_are_asked_about_in_one_go() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let other: QueueName = "other".parse().expect("a name");
    let none: QueueName = "none".parse().expect("a name");
    let all = [queue(), none.clone(), other.clone()];
    handoff.announce(&worker(&[queue()], Some(vec![kind("saw")])), LEASE).await.expect("announce");
    handoff.announce(&worker(std::slice::from_ref(&other), None), LEASE).await.expect("announce");
    let served = handoff.served_in(&all).await.expect("kinds");
    let only = Served::Only(vec![kind("saw")]);
    assert_eq!(served, [(only, vec![]), (Served::Unknown, vec![]), (Served::Every, vec![])]);

    let ids = [JobId::new(), JobId::new()];
    let fill = |queue: &QueueName, ids: &[JobId], more| Fill {
        queue: queue.clone(),
        reading: None,
        hints: hints(ids),
        more,
        to: None,
    };
    let fills = [fill(&queue(), &ids, true), fill(&none, &[], false), fill(&other, &ids[..1], false)];
    let filled = handoff.fill_all(&fills).await.expect("fill");
    assert_eq!(filled.iter().map(|filled| filled.pushed).collect::<Vec<_>>(), [2, 0, 1]);
    let heads = handoff.look(&all).await.expect("look");
    let ready = |head: &Option<HeadStats>| head.as_ref().map(|head| (head.ready, head.waiting_members, head.overflow));
    assert_eq!(heads.iter().map(ready).collect::<Vec<_>>(), [Some((2, 2, true)), None, Some((1, 1, false))]);
    assert_eq!(handoff.noted_queues().await.expect("queues"), [queue(), other.clone()]);

    handoff.ack(&[(other.clone(), ids.to_vec())]).await.expect("ack");
    handoff.forget(&other, &[ids[0].to_string().into_bytes()]).await.expect("forget");
    handoff.unnote(&all).await.expect("unnote");
    assert_eq!(handoff.noted_queues().await.expect("queues"), [queue()], "one that is in use stays noted");
}

/// Redis remembers this until it is emptied, long after the announcement of the worker has expired.
#[tokio::test]
async fn it_is_remembered_when_a_kind_was_last_served() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let other: QueueName = "other".parse().expect("a name");
    assert!(handoff.last_served(&queue()).await.expect("read").is_empty());
    handoff.note_served(&worker(&[queue(), other.clone()], Some(vec![kind("saw"), kind("mail")]))).await.expect("note");
    handoff.note_served(&worker(&[queue()], None)).await.expect("note");
    let mut last = handoff.last_served(&queue()).await.expect("read");
    assert!(last.iter().all(|last| last.ago < SOON), "{last:?}");
    last.sort_by(|one, other| one.kind.cmp(&other.kind));
    let kinds: Vec<Option<Kind>> = last.into_iter().map(|last| last.kind).collect();
    assert_eq!(kinds, [None, Some(kind("mail")), Some(kind("saw"))]);
    assert_eq!(handoff.last_served(&other).await.expect("read").len(), 2);
    assert_eq!(handoff.served_kinds(&queue()).await.expect("kinds"), Served::Unknown, "nobody serves it now");
}
