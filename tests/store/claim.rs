//! claim: queued → running, for hints.

use crate::fixture::{Fixture, LEASE, concurrently, json, kind, name, new_job};
use leasehold_core::{JobId, NewJob, QueueName, Settle, State, WorkerId};
use leasehold_store::Kinds;
use std::{collections::HashSet, time::Duration};

#[tokio::test]
async fn returns_every_field_of_the_job_with_a_lease() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut job = new_job();
    job.payload = json(r#"{"b": 1.0,  "a":"\u0000"}"#);
    job.timeout = Some(Duration::from_millis(1500));
    fixture.enqueue(&[job.clone()]).await.expect("enqueue");
    let claimed = fixture.claim_one(worker, job.id).await;
    assert_eq!((claimed.fence.id, claimed.fence.epoch, claimed.fence.worker), (job.id, 1, worker));
    assert_eq!((claimed.payload.get(), claimed.timeout), (job.payload.get(), job.timeout));
    assert_eq!((claimed.attempt, claimed.max_attempts, claimed.crashes), (1, 5, 0));
    assert_eq!((claimed.queue, claimed.kind), (job.queue, job.kind));
    let record = fixture.record(job.id).await;
    assert_eq!((record.state, record.worker), (State::Running, Some(worker)));
    assert_eq!(
        record.lease_expires_at.zip(record.started_at).map(|(end, start)| end - start),
        chrono::TimeDelta::from_std(LEASE).ok()
    );
}

/// Each way to claim a job gives its trace, in each run.
#[tokio::test]
async fn a_run_has_the_trace_of_its_job() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let traced = || new_job().with(|job| job.traceparent = Some(TRACE.to_owned()));
    let (first, plain, second, third) = (traced(), new_job(), traced(), traced());
    fixture.enqueue(&[first.clone(), plain.clone(), second.clone(), third.clone()]).await.expect("enqueue");
    let trace = |job: leasehold_core::ClaimedJob| job.traceparent;
    let claimed = fixture.claim_one(worker, first.id).await;
    assert_eq!((claimed.retry.unwrap_or_default(), claimed.traceparent), (Default::default(), Some(TRACE.to_owned())));
    assert_eq!(trace(fixture.claim_one(worker, plain.id).await), None);
    let careful = fixture.claim_careful(worker, &[second.id], &Kinds::All, 1, LEASE).await.expect("claim").remove(0);
    assert_eq!(careful.traceparent.as_deref(), Some(TRACE));
    fixture.settle_one(careful.fence, Settle::Release).await;
    assert_eq!(trace(fixture.claim_one(worker, second.id).await).as_deref(), Some(TRACE), "again");
    let line =
        fixture.claim_line(worker, &QueueName::default(), &Kinds::All, 1, LEASE, true).await.expect("claim").remove(0);
    assert_eq!((line.fence.id, line.traceparent.as_deref()), (third.id, Some(TRACE)));
    let bad = new_job().with(|job| job.traceparent = Some("00-x".to_owned()));
    assert!(fixture.enqueue(&[bad]).await.is_err(), "no trace");
}

#[tokio::test]
async fn claims_only_queued_jobs_of_a_known_kind_in_queues_that_are_not_paused() {
    let fixture = Fixture::start().await;
    let (worker, known) = (WorkerId::new(), Kinds::Only(vec![kind("k"), kind("other")]));
    let (good, mut foreign, mut paused, mut later) = (new_job(), new_job(), new_job(), new_job());
    foreign.kind = kind("foreign");
    paused.queue = name("paused");
    later.delay = Some(Duration::from_secs(60));
    let jobs = [good.clone(), foreign, paused, later];
    fixture.enqueue(&jobs).await.expect("enqueue");
    fixture.pause(&name("paused")).await.expect("pause");
    let running = fixture.running(worker).await;
    let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    ids.extend([running.id, JobId::new(), good.id]);
    let claimed = fixture.claim(worker, &ids, &known, LEASE).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), [good.id]);
    assert_eq!(fixture.claim(worker, &ids, &Kinds::Only(vec![]), LEASE).await.expect("claim").len(), 0);
    assert_eq!(fixture.claim(worker, &ids, &Kinds::All, LEASE).await.expect("claim").len(), 1);
    assert_eq!(fixture.claim(worker, &[], &Kinds::All, LEASE).await.expect("claim").len(), 0);
}

#[tokio::test]
async fn each_claim_takes_the_next_epoch() {
    let fixture = Fixture::start().await;
    let id = fixture.queued().await;
    for epoch in 1..=4 {
        let fence = fixture.claim_one(WorkerId::new(), id).await.fence;
        assert_eq!(fence.epoch, epoch);
        fixture.settle_one(fence, Settle::Release).await;
    }
}

/// 20 claimers for 10 jobs, all with the same hints, in many rounds.
#[tokio::test]
async fn twenty_concurrent_claimers_of_ten_jobs() {
    let fixture = Fixture::with_connections(20).await;
    for round in 0..50 {
        let jobs: Vec<_> = (0..10).map(|_| new_job()).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let claims = concurrently((0..20).map(|nth| {
            let mut hints = ids.clone();
            hints.rotate_left(nth % 10);
            let fixture = &fixture;
            async move { fixture.claim(WorkerId::new(), &hints, &Kinds::All, LEASE).await.expect("claim") }
        }))
        .await;
        let claimed: Vec<JobId> = claims.iter().flatten().map(|job| job.fence.id).collect();
        assert_eq!(claimed.len(), 10, "round {round}: each job must be claimed once");
        assert_eq!(claimed.iter().collect::<HashSet<_>>(), ids.iter().collect::<HashSet<_>>(), "round {round}");
        assert!(claims.iter().flatten().all(|job| job.fence.epoch == 1));
    }
}

/// Such a job has killed two workers. The other jobs of a worker must not die with it.
#[tokio::test]
async fn jobs_in_danger_are_claimed_one_at_a_time() {
    let fixture = Fixture::start().await;
    let mut hints = Vec::new();
    for _ in 0..4 {
        hints.push(fixture.queued().await);
    }
    fixture.endanger_all().await;
    hints.push(fixture.queued().await);
    let fresh = hints[4];
    let worker = WorkerId::new();
    let claim = async |worker| {
        let claimed = fixture.claim(worker, &hints, &Kinds::All, LEASE).await.expect("claim");
        claimed.iter().map(|job| job.fence).collect::<Vec<_>>()
    };
    let first = claim(worker).await;
    assert_eq!(first.len(), 2, "one job in danger and the fresh job: {first:?}");
    assert!(first.iter().any(|fence| fence.id == fresh));
    assert_eq!(claim(worker).await, [], "the first job still runs");
    assert_eq!(claim(WorkerId::new()).await.len(), 1, "another worker must get one too");
    fixture.make_runs_old().await;
    assert_eq!(claim(worker).await.len(), 1, "a job that has run for this long must not block the others");
    assert_eq!(claim(WorkerId::new()).await.len(), 1, "the last job");
}

/// Such a job has killed one worker. A worker may run a few of them at the same time, but not all.
#[tokio::test]
async fn jobs_that_have_crashed_are_claimed_a_few_at_a_time() {
    let fixture = Fixture::start().await;
    let mut hints = Vec::new();
    for nth in 0..30 {
        let id = fixture.queued().await;
        if nth < 25 {
            fixture.set_crashes(id, 1).await;
        }
        hints.push(id);
    }
    let worker = WorkerId::new();
    let claim = async |worker| {
        let claimed = fixture.claim(worker, &hints, &Kinds::All, LEASE).await.expect("claim");
        let crashed = claimed.iter().filter(|job| job.crashes > 0).count();
        (crashed, claimed.len() - crashed)
    };
    assert_eq!(claim(worker).await, (10, 5), "ten jobs that have crashed, and all other jobs");
    assert_eq!(claim(worker).await, (0, 0), "the ten jobs have only just started");
    assert_eq!(claim(WorkerId::new()).await, (10, 0), "another worker must get ten too");
    fixture.make_runs_old().await;
    assert_eq!(claim(worker).await, (5, 0), "jobs that have run for a second must not block the others");
}

/// Jobs start in the order of their hints, which is the order of the line. The ids do not matter.
#[tokio::test]
async fn answers_in_the_order_of_the_hints() {
    let fixture = Fixture::start().await;
    let mut hints = Vec::new();
    for _ in 0..50 {
        hints.push(fixture.queued().await);
    }
    hints.reverse();
    hints.swap(3, 40);
    let claimed = fixture.claim(WorkerId::new(), &hints, &Kinds::All, LEASE).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), hints);
}

/// Many hints are tried for the few slots that are free, and the job that comes first in the line begins.
#[tokio::test]
async fn a_careful_claim_takes_the_first_jobs_of_its_hints() {
    let fixture = Fixture::start().await;
    let jobs: Vec<_> = (0..50).map(|_| new_job()).collect();
    fixture.enqueue(&jobs).await.expect("enqueue");
    let backwards: Vec<JobId> = jobs.iter().rev().map(|job| job.id).collect();
    let claimed = fixture.claim_careful(WorkerId::new(), &backwards, &Kinds::All, 3, LEASE).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), backwards[..3]);
}

/// Claims the job. Returns how long it had been due, in minutes.
async fn minutes_due(fixture: &Fixture, id: JobId) -> Option<u64> {
    Some(fixture.claim_one(WorkerId::new(), id).await.due_for?.as_secs() / 60)
}

#[tokio::test]
async fn says_how_long_the_job_has_been_due() {
    let fixture = Fixture::start().await;
    let id = fixture.queued().await;
    fixture.make_older(id).await;
    assert_eq!(minutes_due(&fixture, id).await, Some(60));
    let id = fixture.queued().await;
    fixture.make_older(id).await;
    let claimed = fixture.claim_careful(WorkerId::new(), &[id], &Kinds::All, 1, LEASE).await.expect("claim");
    assert_eq!(claimed[0].due_for.map(|due| due.as_secs() / 60), Some(60));
}

#[tokio::test]
async fn a_job_is_not_due_before_it_was_enqueued() {
    let fixture = Fixture::start().await;
    let early = NewJob { run_at: Some(chrono::Utc::now() - chrono::TimeDelta::hours(1)), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&early)).await.expect("enqueue");
    assert_eq!(minutes_due(&fixture, early.id).await, Some(0));
}

#[tokio::test]
async fn the_time_paused_does_not_count_as_due() {
    let queue = QueueName::default();
    for of in [None, Some(new_job().kind)] {
        let fixture = Fixture::start().await;
        let id = fixture.queued().await;
        fixture.make_older(id).await;
        match &of {
            None => {
                fixture.pause(&queue).await.expect("pause");
                assert!(fixture.resume(&queue).await.expect("resume"));
            }
            Some(kind) => {
                fixture.pause_kind(&queue, kind).await.expect("pause");
                assert!(fixture.resume_kind(&queue, kind).await.expect("resume"));
            }
        }
        assert_eq!(minutes_due(&fixture, id).await, Some(0), "{of:?}");
        let elsewhere = NewJob { queue: name("elsewhere"), ..new_job() };
        fixture.enqueue(std::slice::from_ref(&elsewhere)).await.expect("enqueue");
        fixture.make_older(elsewhere.id).await;
        assert_eq!(minutes_due(&fixture, elsewhere.id).await, Some(60), "another queue");
    }
}

#[tokio::test]
async fn a_wait_that_says_nothing_about_the_fleet_has_no_length() {
    let fixture = Fixture::start().await;
    let released = fixture.running(WorkerId::new()).await;
    fixture.settle_one(released, Settle::Release).await;
    assert_eq!(minutes_due(&fixture, released.id).await, None, "given back by a worker");
    let crashed = fixture.queued().await;
    fixture.set_crashes(crashed, 1).await;
    assert_eq!(minutes_due(&fixture, crashed).await, None, "lost by a worker");
    let limited = NewJob { limit_keys: vec!["key".to_owned()], ..new_job() };
    let parent = new_job();
    let child = NewJob { depends_on: vec![parent.id], ..new_job() };
    fixture.enqueue(&[limited.clone(), parent.clone(), child.clone()]).await.expect("enqueue");
    // The store claims jobs with limit keys only after it has seen one.
    fixture.look(&[limited.id], &Kinds::All).await.expect("look");
    assert_eq!(minutes_due(&fixture, limited.id).await, None, "waits for room of its key");
    let run = fixture.claim_one(WorkerId::new(), parent.id).await.fence;
    fixture.settle_one(run, Settle::Complete(None)).await;
    assert_eq!(minutes_due(&fixture, child.id).await, None, "waits for its parent");
}
