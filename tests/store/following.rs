//! complete_then: a success and the jobs that follow from it, in one transaction or not at all.

use crate::fixture::{
    Fixture, as_it_is, concurrently, is_written_once, json, new_job, refuses_jobs_not_running, refuses_stale_fences,
};
use leasehold_core::{Ending, FOLLOWING_MAX, FinishedRun, JobId, NewJob, Settle, Settled, State, Success, WorkerId};
use leasehold_ports::Deferred;
use std::{collections::BTreeSet, time::Duration};

fn then(jobs: &[NewJob]) -> Settle {
    Settle::CompleteThen(Box::new(Success { result: Some(json("1")), then: jobs.to_vec() }))
}

/// A job that no statement for plain jobs knows.
fn with_words() -> NewJob {
    NewJob {
        queue: "next".parse().expect("a name"),
        priority: 7,
        delay: Some(Duration::from_secs(60)),
        max_attempts: 2,
        timeout: Some(Duration::from_secs(9)),
        limit_keys: vec!["tenant".into()],
        expires_in: Some(Duration::from_secs(600)),
        ..new_job()
    }
}

#[tokio::test]
async fn the_jobs_are_made_with_the_success_and_those_in_the_line_are_told() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    let (due, late) = (new_job(), with_words());
    let after = NewJob { depends_on: vec![due.id], ..new_job() };
    let at_once = NewJob { depends_on: vec![fence.id], ..new_job() };
    let jobs = [after.clone(), due.clone(), late.clone(), at_once.clone()];
    let settled = fixture.settle(fence.worker, &[FinishedRun { fence, settle: then(&jobs) }]).await.expect("settle");
    assert_eq!(settled, [Settled::Done]);
    let told: BTreeSet<JobId> = settled.unblocked.iter().map(|job| job.id).collect();
    assert_eq!(told, BTreeSet::from([due.id, at_once.id]), "both are in the line");
    let record = fixture.record(fence.id).await;
    assert_eq!((record.state, record.result.as_deref().map(|json| json.get())), (State::Succeeded, Some("1")));
    let states =
        [(&after, State::Blocked), (&due, State::Queued), (&late, State::Scheduled), (&at_once, State::Queued)];
    for (job, state) in states {
        assert_eq!(fixture.record(job.id).await.state, state);
    }
    let late = fixture.record(late.id).await;
    assert_eq!((late.queue.as_str(), late.priority, late.max_attempts), ("next", 7, 2));
    assert_eq!((late.timeout_ms, late.limit_key.as_deref()), (Some(9000), Some("tenant")));
    assert!(late.expires_at.is_some() && late.payload.get() == r#"{"n":1}"#);
    // The job that follows can be run to its end.
    let fence = fixture.claim_one(WorkerId::new(), due.id).await.fence;
    let settled = fixture.settle(fence.worker, &[FinishedRun { fence, settle: Settle::Complete(None) }]).await;
    assert_eq!(settled.expect("settle").unblocked.iter().map(|job| job.id).collect::<Vec<_>>(), [after.id]);
}

#[tokio::test]
async fn stale_fence() {
    let job = new_job();
    refuses_stale_fences(then(std::slice::from_ref(&job))).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(then(&[new_job()])).await;
}

#[tokio::test]
async fn it_is_written_once() {
    is_written_once(then(&[new_job()]), as_it_is).await;
}

/// A worker lost its lease, and another worker runs the job to its end. Each of them wants a job to follow.
#[tokio::test]
async fn a_lost_run_makes_no_job_and_a_repeated_settle_makes_none_twice() {
    let fixture = Fixture::start().await;
    let lost = fixture.running(WorkerId::new()).await;
    fixture.end_lease(lost.id).await;
    fixture.expire(10, None).await.expect("expire");
    let current = fixture.claim_one(WorkerId::new(), lost.id).await.fence;
    let (of_lost, of_current) = (new_job(), new_job());
    for _ in 0..3 {
        assert_eq!(fixture.settle_one(lost, then(std::slice::from_ref(&of_lost))).await, Settled::LeaseLost);
    }
    assert_eq!(fixture.settle_one(current, then(std::slice::from_ref(&of_current))).await, Settled::Done);
    for _ in 0..3 {
        assert_eq!(fixture.settle_one(current, then(std::slice::from_ref(&of_current))).await, Settled::Already);
    }
    assert!(fixture.job(of_lost.id).await.expect("job").is_none());
    assert_eq!(fixture.live_jobs().await, 1);
}

#[tokio::test]
async fn a_batch_of_all_endings_writes_each_run_as_it_ended() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut runs = Vec::new();
    let mut following = BTreeSet::new();
    for nth in 0..30 {
        let fence = fixture.running(worker).await;
        let jobs: Vec<NewJob> = (0..3).map(|_| new_job()).collect();
        let settle = match nth % 3 {
            0 => {
                following.extend(jobs.iter().map(|job| job.id));
                then(&jobs)
            }
            1 => Settle::Complete(None),
            _ => Settle::Bury { error: "no".into() },
        };
        runs.push(FinishedRun { fence, settle });
    }
    let settled = fixture.settle(worker, &runs).await.expect("settle");
    assert!(settled.iter().all(|answer| *answer == Settled::Done), "{settled:?}");
    assert_eq!(settled.unblocked.iter().map(|job| job.id).collect::<BTreeSet<_>>(), following);
    for run in &runs {
        let wanted = if run.settle.ending() == Ending::Bury { State::Dead } else { State::Succeeded };
        assert_eq!(fixture.record(run.fence.id).await.state, wanted);
    }
}

#[tokio::test]
async fn a_job_whose_unique_key_is_held_is_skipped_and_the_own_key_is_free() {
    let fixture = Fixture::start().await;
    let own = NewJob { unique_key: Some("own".into()), ..new_job() };
    let held = NewJob { unique_key: Some("held".into()), ..new_job() };
    fixture.enqueue(&[own.clone(), held.clone()]).await.expect("enqueue");
    let fence = fixture.claim_one(WorkerId::new(), own.id).await.fence;
    let (again, skipped) = (NewJob { id: JobId::new(), ..own }, NewJob { id: JobId::new(), ..held });
    assert_eq!(fixture.settle_one(fence, then(&[again.clone(), skipped.clone()])).await, Settled::Done);
    assert_eq!(fixture.record(fence.id).await.state, State::Succeeded);
    assert_eq!(fixture.record(again.id).await.state, State::Queued, "the end of the run has freed its key");
    assert!(fixture.job(skipped.id).await.expect("job").is_none());
}

/// No other run would do better, so the job is dead, and the other runs of the batch are written.
#[tokio::test]
async fn a_job_that_can_never_be_enqueued_ends_its_run_and_no_other() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (wrong, right) = (fixture.running(worker).await, fixture.running(worker).await);
    let unknown = JobId::new();
    let child = NewJob { depends_on: vec![unknown], ..new_job() };
    let (beside, good) = (new_job(), new_job());
    let runs = [
        FinishedRun { fence: wrong, settle: then(&[beside.clone(), child.clone()]) },
        FinishedRun { fence: right, settle: then(std::slice::from_ref(&good)) },
    ];
    assert_eq!(fixture.settle(worker, &runs).await.expect("settle"), [Settled::Done, Settled::Done]);
    let record = fixture.record(wrong.id).await;
    let error = record.last_error.unwrap_or_default();
    assert_eq!(record.state, State::Dead);
    assert!(error.contains("a follow-on job cannot be stored") && error.contains(&unknown.to_string()), "{error}");
    assert_eq!(fixture.record(right.id).await.state, State::Succeeded);
    assert_eq!(fixture.record(good.id).await.state, State::Queued);
    for id in [beside.id, child.id] {
        assert!(fixture.job(id).await.expect("job").is_none());
    }
}

#[tokio::test]
async fn many_runs_with_many_jobs_are_written_in_several_statements() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut runs = Vec::new();
    for _ in 0..3 {
        let jobs: Vec<NewJob> = (0..FOLLOWING_MAX).map(|_| new_job()).collect();
        runs.push(FinishedRun { fence: fixture.running(worker).await, settle: then(&jobs) });
    }
    let settled = fixture.settle(worker, &runs).await.expect("settle");
    assert_eq!(settled, [Settled::Done, Settled::Done, Settled::Done]);
    assert_eq!(settled.unblocked.len(), 3 * FOLLOWING_MAX);
    assert_eq!(fixture.live_jobs().await, 3 * FOLLOWING_MAX as i64);
}

/// A worker that stops leaves the success and its jobs for a reaper.
#[tokio::test]
async fn a_deferred_success_keeps_its_jobs() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    let job = with_words();
    let run = FinishedRun { fence, settle: then(std::slice::from_ref(&job)) };
    fixture.defer(&[Deferred { queue: "default".parse().expect("a name"), run }]).await.expect("defer");
    let left = fixture.deferred(10).await.expect("deferred").remove(0).run;
    assert_eq!(fixture.settle(fence.worker, &[left]).await.expect("settle"), [Settled::Done]);
    let record = fixture.record(job.id).await;
    assert_eq!((record.state, record.priority, record.queue.as_str()), (State::Scheduled, 7, "next"));
}

/// Each of many racing workers wants the same key for the job that follows from its run: one job is made, and no run is lost.
#[tokio::test]
async fn of_racing_runs_with_one_key_one_job_is_made() {
    let fixture = Fixture::start().await;
    let mut fences = Vec::new();
    for _ in 0..12 {
        fences.push(fixture.running(WorkerId::new()).await);
    }
    let settles = fences.iter().map(|&fence| {
        let job = NewJob { unique_key: Some("one".into()), ..new_job() };
        let fixture = &fixture;
        async move {
            loop {
                match fixture.settle_one(fence, then(std::slice::from_ref(&job))).await {
                    Settled::Locked => {}
                    answer => return answer,
                }
            }
        }
    });
    let answers = concurrently(settles).await;
    assert!(answers.iter().all(|answer| *answer == Settled::Done), "{answers:?}");
    assert_eq!(fixture.live_jobs().await, 1);
}
