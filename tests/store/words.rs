//! The words retry and expires_at: until when attempts begin, and how a job ends that may not begin any more.

use crate::fixture::{Fixture, LEASE, name, new_job, retry};
use leasehold_core::{Claimability, ClaimedJob, JobId, NewJob, Retry, Settle, Settled, State, WorkerId};
use leasehold_ports::Kinds;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn tried_for_a_minute() -> NewJob {
    NewJob { retry: Some(Retry::linear(Duration::from_secs(10)).for_time(MINUTE)), ..new_job() }
}

fn expiring() -> NewJob {
    NewJob { expires_in: Some(MINUTE), ..new_job() }
}

async fn enqueued(fixture: &Fixture, job: NewJob) -> JobId {
    let answer = fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue")[0].clone();
    assert!(answer.inserted && !answer.replaced);
    job.id
}

/// All three ways to claim.
async fn claim_somehow(fixture: &Fixture, id: JobId) -> Vec<ClaimedJob> {
    let worker = WorkerId::new();
    let mut claimed = fixture.claim(worker, &[id], &Kinds::All, LEASE).await.expect("claim");
    claimed.extend(fixture.claim_careful(worker, &[id], &Kinds::All, 10, LEASE).await.expect("claim_careful"));
    let line = fixture.claim_line(worker, &name("default"), &Kinds::All, 10, LEASE, true).await.expect("claim_line");
    claimed.extend(line);
    claimed
}

async fn claimability(fixture: &Fixture, id: JobId) -> Claimability {
    fixture.look(&[id], &Kinds::All).await.expect("look")[0].claimability
}

#[tokio::test]
async fn time_for_retries_begins_with_the_first_attempt_that_is_spent() {
    let fixture = Fixture::start().await;
    let job = tried_for_a_minute();
    let id = enqueued(&fixture, job.clone()).await;
    let record = fixture.record(id).await;
    assert_eq!((record.retry, record.retry_until), (job.retry, None));
    // Neither counts as an attempt.
    for settle in [Settle::Release, Settle::Snooze { delay: Duration::ZERO, reason: None }] {
        let run = fixture.claim_one(WorkerId::new(), id).await;
        assert_eq!((run.retry, run.retry_left), (job.retry, Some(MINUTE)));
        assert_eq!(fixture.settle_one(run.fence, settle).await, Settled::Done);
        fixture.promote(10, None).await.expect("promote");
        assert_eq!(fixture.record(id).await.retry_until, None);
    }
    let run = fixture.claim_one(WorkerId::new(), id).await;
    let started_at = fixture.record(id).await.started_at.expect("it runs");
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    let until = fixture.record(id).await.retry_until.expect("a limit");
    assert_eq!(until - started_at, chrono::TimeDelta::seconds(60));
    fixture.promote(10, None).await.expect("promote");
    let run = fixture.claim_one(WorkerId::new(), id).await;
    let left = run.retry_left.expect("a limit");
    assert!(left <= MINUTE && left > MINUTE / 2, "{left:?}");
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    assert_eq!(fixture.record(id).await.retry_until, Some(until), "a later attempt changes nothing");
}

#[tokio::test]
async fn a_job_without_the_word_has_no_limit() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(fence, retry()).await, Settled::Done);
    let record = fixture.record(fence.id).await;
    assert_eq!((record.retry, record.retry_until, record.expires_at), (None, None, None));
    fixture.promote(10, None).await.expect("promote");
    let run = fixture.claim_one(WorkerId::new(), fence.id).await;
    assert_eq!((run.retry, run.retry_left), (None, None));
}

#[tokio::test]
async fn no_attempt_begins_after_the_time_for_retries() {
    let fixture = Fixture::start().await;
    let id = enqueued(&fixture, tried_for_a_minute()).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    fixture.promote(10, None).await.expect("promote");
    assert!(fixture.lapse(10).await.expect("lapse").is_empty(), "its time is not over");
    fixture.make_overdue().await;
    assert_eq!(claim_somehow(&fixture, id).await.len(), 0);
    assert_eq!(claimability(&fixture, id).await, Claimability::Overdue);
    let lapsed = fixture.lapse(10).await.expect("lapse");
    assert_eq!(lapsed.iter().map(|job| (job.id, job.state)).collect::<Vec<_>>(), [(id, State::Dead)]);
    assert!(fixture.lapse(10).await.expect("lapse").is_empty());
    let record = fixture.record(id).await;
    assert_eq!((record.state, record.attempt, record.crashes), (State::Dead, 1, 0));
    let error = record.last_error.expect("a reason");
    assert!(error.starts_with("its time for retries is over since 2"), "{error}");
    assert!(error.ends_with("; the last error: it failed"), "{error}");
    assert_eq!(record.trail.last().map(|last| last.verb.as_str()), Some("bury"));
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_lost_lease_is_a_spent_attempt() {
    let fixture = Fixture::start().await;
    let id = enqueued(&fixture, tried_for_a_minute()).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    let started_at = fixture.record(id).await.started_at.expect("it runs");
    fixture.end_lease(run.fence.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, State::Queued);
    let until = fixture.record(id).await.retry_until.expect("a limit");
    assert_eq!(until - started_at, chrono::TimeDelta::seconds(60));
    let run = fixture.claim_one(WorkerId::new(), id).await;
    fixture.make_overdue().await;
    fixture.end_lease(run.fence.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, State::Dead);
    let record = fixture.record(id).await;
    assert_eq!(record.last_error.as_deref(), Some("its lease ran out, and its time for retries is over"));
    assert_eq!((record.attempt, record.crashes), (2, 2), "attempts and crashes are both left");
}

#[tokio::test]
async fn a_job_that_has_not_begun_in_time_is_cancelled() {
    let fixture = Fixture::start().await;
    let in_line = enqueued(&fixture, expiring()).await;
    let at = chrono::Utc::now() + chrono::TimeDelta::hours(2);
    let later = NewJob { delay: Some(MINUTE), expires_at: Some(at), ..new_job() };
    let later = enqueued(&fixture, later).await;
    let plain = fixture.queued().await;
    let record = fixture.record(in_line).await;
    assert_eq!(record.expires_at.expect("a time") - record.created_at, chrono::TimeDelta::seconds(60));
    assert!(fixture.lapse(10).await.expect("lapse").is_empty(), "their time is not over");
    fixture.make_overdue().await;
    assert_eq!(claimability(&fixture, in_line).await, Claimability::Overdue);
    assert_eq!(fixture.lapse(1).await.expect("lapse").len(), 1, "a batch is bounded");
    assert_eq!(fixture.lapse(10).await.expect("lapse").len(), 1);
    for id in [in_line, later] {
        let record = fixture.record(id).await;
        assert_eq!((record.state, record.attempt), (State::Cancelled, 0));
        let error = record.last_error.expect("a reason");
        assert!(error.starts_with("it expired: it had not begun by 2") && error.ends_with(" UTC"), "{error}");
        let last = record.trail.last().expect("an entry");
        assert_eq!((last.verb.as_str(), last.note.as_deref()), ("cancel", Some(error.as_str())));
    }
    assert_eq!(fixture.record(plain).await.state, State::Queued);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_job_that_expires_between_two_attempts_says_so() {
    let fixture = Fixture::start().await;
    let id = enqueued(&fixture, expiring()).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    fixture.settle_one(run.fence, Settle::Retry { delay: MINUTE, error: "no".into() }).await;
    fixture.make_overdue().await;
    assert_eq!(fixture.lapse(10).await.expect("lapse").len(), 1);
    let record = fixture.record(id).await;
    assert_eq!((record.state, record.attempt), (State::Cancelled, 1));
    let error = record.last_error.expect("a reason");
    assert!(error.starts_with("it expired before its next attempt, at 2"), "{error}");
}

#[tokio::test]
async fn an_expired_job_is_never_claimed_even_without_a_reaper() {
    let fixture = Fixture::start().await;
    let id = enqueued(&fixture, expiring()).await;
    fixture.make_overdue().await;
    let next = fixture.queued().await;
    let claimed = claim_somehow(&fixture, id).await;
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), [next], "it holds up no other job");
}

#[tokio::test]
async fn a_run_that_has_begun_in_time_goes_on_and_its_retry_expires() {
    let fixture = Fixture::start().await;
    let id = enqueued(&fixture, expiring()).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    fixture.make_overdue().await;
    assert!(fixture.lapse(10).await.expect("lapse").is_empty());
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    assert_eq!(fixture.lapse(10).await.expect("lapse")[0].state, State::Cancelled);
    let error = fixture.record(id).await.last_error.expect("a reason");
    assert!(error.ends_with("; the last error: it failed"), "{error}");
}

#[tokio::test]
async fn a_revived_job_has_all_its_time_again_and_does_not_expire() {
    let fixture = Fixture::start().await;
    let job = NewJob { retry: tried_for_a_minute().retry, ..expiring() };
    let id = enqueued(&fixture, job.clone()).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    fixture.make_overdue().await;
    fixture.lapse(10).await.expect("lapse");
    assert_eq!(fixture.revive(&[id]).await.expect("revive").len(), 1);
    let record = fixture.record(id).await;
    assert_eq!((record.state, record.retry), (State::Queued, job.retry));
    assert_eq!((record.retry_until, record.expires_at), (None, None));
    assert!(fixture.lapse(10).await.expect("lapse").is_empty());
    fixture.claim_one(WorkerId::new(), id).await;
}

#[tokio::test]
async fn a_job_that_could_never_begin_is_refused() {
    let minute = chrono::TimeDelta::minutes(1);
    let now = chrono::Utc::now();
    for (job, field) in [
        (NewJob { delay: Some(MINUTE), ..expiring() }, "expires_at"),
        (NewJob { run_at: Some(now + minute), expires_at: Some(now + minute), ..new_job() }, "expires_at"),
        (NewJob { expires_in: Some(Duration::ZERO), ..new_job() }, "expires_in"),
        (NewJob { retry: Some(Retry::linear(MINUTE).cap(MINUTE / 2)), ..new_job() }, "retry.cap"),
        (NewJob { retry: Some(Retry::default().for_time(Duration::ZERO)), ..new_job() }, "retry.for"),
    ] {
        let fields: Vec<_> = job.validate().expect_err(field).0.into_iter().map(|bad| bad.field).collect();
        assert_eq!(fields, [field]);
    }
}
