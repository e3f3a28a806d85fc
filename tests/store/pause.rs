//! pause and resume, of queues and of kinds in them.

use crate::fixture::{Fixture, LEASE, concurrently, kind, name, new_job};
use leasehold_core::{Claimability, JobId, NewJob, QueueName, WorkerId};
use leasehold_ports::{Claims, Front, Kinds, LinePosition, Slice, Stretch};
use std::collections::BTreeSet;

#[tokio::test]
async fn answers_whether_anything_changed() {
    let fixture = Fixture::start().await;
    let queue = name("q");
    assert!(!fixture.resume(&queue).await.expect("resume"));
    assert!(fixture.pause(&queue).await.expect("pause"));
    assert!(!fixture.pause(&queue).await.expect("pause"));
    assert_eq!(fixture.paused().await.expect("paused"), std::slice::from_ref(&queue));
    assert!(fixture.resume(&queue).await.expect("resume"));
    assert!(!fixture.resume(&queue).await.expect("resume"));
    assert!(fixture.paused().await.expect("paused").is_empty());
}

#[tokio::test]
async fn concurrent_calls_have_one_winner() {
    let fixture = Fixture::start().await;
    for nth in 0..20 {
        let queue = name(&format!("q{nth}"));
        let answers = concurrently((0..8).map(|_| fixture.pause(&queue))).await;
        assert_eq!(answers.into_iter().filter(|answer| *answer.as_ref().expect("pause")).count(), 1);
    }
}

#[tokio::test]
async fn a_kind_is_paused_in_one_queue() {
    let fixture = Fixture::start().await;
    let (q, r, mail) = (name("q"), name("r"), kind("mail"));
    assert!(!fixture.resume_kind(&q, &mail).await.expect("resume"));
    assert!(fixture.pause_kind(&q, &mail).await.expect("pause"));
    assert!(!fixture.pause_kind(&q, &mail).await.expect("pause"));
    assert!(fixture.pause_kind(&r, &kind("other")).await.expect("pause"));
    let of_q = vec![(q.clone(), mail.clone())];
    assert_eq!(fixture.paused_kinds(Some(&q)).await.expect("paused"), of_q);
    let all = [(q.clone(), mail.clone()), (r.clone(), kind("other"))];
    assert_eq!(fixture.paused_kinds(None).await.expect("paused"), all);
    assert!(fixture.paused().await.expect("paused").is_empty(), "no whole queue is paused");
    assert!(!fixture.resume(&q).await.expect("resume"), "the queue itself was not paused");
    assert_eq!(fixture.paused_kinds(Some(&q)).await.expect("paused"), of_q, "the kind stays paused");
    assert!(fixture.resume_kind(&q, &mail).await.expect("resume"));
    assert!(!fixture.resume_kind(&q, &mail).await.expect("resume"));
}

#[tokio::test]
async fn concurrent_pauses_of_a_kind_have_one_winner() {
    let fixture = Fixture::start().await;
    for nth in 0..20 {
        let (queue, one) = (name(&format!("q{nth}")), kind("k"));
        let answers = concurrently((0..8).map(|_| fixture.pause_kind(&queue, &one))).await;
        assert_eq!(answers.into_iter().filter(|answer| *answer.as_ref().expect("pause")).count(), 1);
        let answers = concurrently((0..8).map(|_| fixture.resume_kind(&queue, &one))).await;
        assert_eq!(answers.into_iter().filter(|answer| *answer.as_ref().expect("resume")).count(), 1);
    }
}

/// A job of each kind, with and without a limit key, in the queue; and a paused kind's namesake in another queue.
async fn jobs(fixture: &Fixture, queue: &QueueName) -> (Vec<JobId>, Vec<JobId>) {
    let job = |of: &str, queue: &QueueName, limited: bool| NewJob {
        kind: kind(of),
        queue: queue.clone(),
        limit_keys: if limited { vec!["key".to_owned()] } else { Vec::new() },
        ..new_job()
    };
    let paused = [job("k", queue, false), job("k", queue, true), job("k", queue, false)];
    let open = [job("other", queue, false), job("other", queue, true)];
    let elsewhere = job("k", &name("elsewhere"), false);
    let all: Vec<NewJob> = paused.iter().chain(&open).chain([&elsewhere]).cloned().collect();
    fixture.enqueue(&all).await.expect("enqueue");
    // A crashed job is claimed in another way.
    fixture.set_crashes(paused[2].id, 1).await;
    (paused.map(|job| job.id).to_vec(), open.map(|job| job.id).to_vec())
}

#[tokio::test]
async fn no_way_to_claim_takes_a_job_of_a_paused_kind() {
    let fixture = Fixture::start().await;
    fixture.set_running_limit("key", 100).await;
    let (queue, worker) = (name("q"), WorkerId::new());
    let kinds = [Kinds::All, Kinds::Only(vec![kind("k"), kind("other")])];
    for kinds in kinds {
        let (paused, open) = jobs(&fixture, &queue).await;
        let all: Vec<JobId> = paused.iter().chain(&open).copied().collect();
        // From now on the store knows that jobs have limit keys, and tries claim_limited.
        assert!(fixture.look(&all, &kinds).await.expect("look").iter().all(|job| job.claimability.may_be_claimed()));
        fixture.pause_kind(&queue, &kind("k")).await.expect("pause");
        let looked = fixture.look(&all, &kinds).await.expect("look");
        for job in looked {
            assert_eq!(job.claimability == Claimability::Paused, paused.contains(&job.id), "{job:?}");
        }
        assert!(Claims::claim(&*fixture, worker, &queue, &paused, &kinds, LEASE).await.expect("claim").is_empty());
        let careful = Claims::claim_careful(&*fixture, worker, &queue, &paused, &kinds, 10, LEASE).await;
        assert!(careful.expect("claim").is_empty());
        for with_crashed in [false, true] {
            let from_line = fixture.claim_line(worker, &queue, &kinds, 10, LEASE, with_crashed).await.expect("claim");
            assert!(from_line.iter().all(|job| open.contains(&job.fence.id)), "{from_line:?}");
        }
        let elsewhere = fixture.claim_line(worker, &name("elsewhere"), &kinds, 10, LEASE, false).await.expect("claim");
        assert_eq!(elsewhere.len(), 1, "the kind is not paused in the other queue");
        let foreign = Kinds::Only(vec![kind("other")]);
        let looked = fixture.look(&paused, &foreign).await.expect("look");
        assert!(looked.iter().all(|job| job.claimability == Claimability::Paused), "nobody sets their hints aside");

        fixture.resume_kind(&queue, &kind("k")).await.expect("resume");
        let first = Claims::claim(&*fixture, worker, &queue, &paused[..2], &kinds, LEASE).await.expect("claim");
        assert_eq!(first.len(), 2);
        let from_line = fixture.claim_line(worker, &queue, &kinds, 10, LEASE, true).await.expect("claim");
        assert_eq!(from_line.iter().map(|job| job.fence.id).collect::<Vec<_>>(), [paused[2]]);
    }
}

/// Otherwise hints of a paused kind would fill the head, and others would find no room.
#[tokio::test]
async fn the_front_of_a_line_has_no_job_of_a_paused_kind() {
    let fixture = Fixture::start().await;
    let queue = name("q");
    let (paused, open) = jobs(&fixture, &queue).await;
    let stretches = ["k", "other"].map(|of| Stretch { kind: kind(of), scan_start: None }).to_vec();
    let slice = || [Slice::default()];
    let before = fixture.fingerprint(&slice(), 10).await.expect("fingerprint");
    fixture.pause_kind(&queue, &kind("k")).await.expect("pause");
    let changed = fixture.fingerprint(&slice(), 10).await.expect("fingerprint");
    assert_ne!(before.paused, changed.paused, "a reaper must notice the pause");

    let fronts = [Front { queue: queue.clone(), stretches: stretches.clone(), limit: 10 }];
    let (line, moved) = fixture.lines(&fronts).await.expect("lines").remove(0);
    assert_eq!((line.ids().into_iter().collect::<BTreeSet<_>>(), line.more), (open.iter().copied().collect(), false));
    assert!(moved.iter().all(|stretch| stretch.scan_start.is_some()), "both stretches are still surveyed: {moved:?}");
    let start = LinePosition { line_at: chrono::DateTime::UNIX_EPOCH, id: JobId(uuid::Uuid::nil()) };
    for kinds in [Kinds::All, Kinds::Only(vec![kind("k"), kind("other")])] {
        assert_eq!(fixture.line_after(&queue, &kinds, &start, 10).await.expect("line").ids(), line.ids());
    }

    fixture.resume_kind(&queue, &kind("k")).await.expect("resume");
    assert_eq!(fixture.fingerprint(&slice(), 10).await.expect("fingerprint").paused, before.paused);
    let (line, _) = fixture.line(&queue, &stretches, 10).await.expect("line");
    assert_eq!(line.ids().into_iter().collect::<BTreeSet<_>>(), paused.into_iter().chain(open).collect());
}
