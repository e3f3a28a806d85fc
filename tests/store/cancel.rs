//! cancel: a client cancels any live job.

use crate::fixture::{Fixture, LEASE, concurrently};
use leasehold_core::{JobId, Settle, State, WorkerId};
use leasehold_store::Kinds;

#[tokio::test]
async fn ends_waiting_jobs_and_flags_running_ones() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (waiting, running, finished) =
        (fixture.queued().await, fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let ids = [waiting, running.id, finished.id, JobId::new()];
    let expected = [
        (waiting, State::Cancelled, None, true),
        (running.id, State::Running, Some((worker, 1)), true),
        (finished.id, State::Succeeded, None, false),
    ];
    let mut answers = fixture.cancel(&ids).await.expect("cancel");
    answers.sort_by_key(|answer| answer.id);
    let seen: Vec<_> = answers.iter().map(|job| (job.id, job.state, job.running, job.changed)).collect();
    assert_eq!(seen, expected);
    let wanted = fixture.cancel_wanted(10).await.expect("cancel_wanted");
    assert_eq!((wanted.len(), wanted[0].id, wanted[0].worker, wanted[0].epoch), (1, running.id, worker, 1));

    let flagged = fixture.record(running.id).await.cancel_requested_at;
    let again = fixture.cancel(&[waiting]).await.expect("cancel");
    assert_eq!((again[0].state, again[0].changed), (State::Cancelled, false));
    fixture.cancel(&[running.id]).await.expect("cancel");
    assert_eq!(
        fixture.record(running.id).await.cancel_requested_at,
        flagged,
        "the time of the first request must stay"
    );
}

/// 1,000 times: either the claim wins and the run is flagged, or the cancel wins and there is no run.
#[tokio::test]
async fn cancel_against_claim() {
    let fixture = Fixture::start().await;
    let (mut claimed_first, mut cancelled_first) = (0, 0);
    for round in 0..300 {
        let id = fixture.queued().await;
        let (worker, hint) = (WorkerId::new(), [id]);
        let (claimed, cancelled) = if round % 2 == 0 {
            tokio::join!(fixture.claim(worker, &hint, &Kinds::All, LEASE), fixture.cancel(&hint))
        } else {
            let (cancelled, claimed) =
                tokio::join!(fixture.cancel(&hint), fixture.claim(worker, &hint, &Kinds::All, LEASE));
            (claimed, cancelled)
        };
        let (claimed, cancelled) = (claimed.expect("claim"), cancelled.expect("cancel"));
        assert_eq!(cancelled.len(), 1);
        assert!(cancelled[0].changed);
        let record = fixture.record(id).await;
        if claimed.is_empty() {
            assert_eq!((cancelled[0].state, record.state, record.epoch), (State::Cancelled, State::Cancelled, 0));
            cancelled_first += 1;
        } else {
            assert_eq!(cancelled[0].running, Some((worker, 1)));
            assert_eq!((record.state, record.cancel_requested_at.is_some()), (State::Running, true));
            claimed_first += 1;
        }
    }
    assert!(
        claimed_first > 0 && cancelled_first > 0,
        "{claimed_first} claimed first, {cancelled_first} cancelled first"
    );
    fixture.keeps_the_invariants().await;
}

/// Batches in opposite order do not deadlock, and each job is cancelled by exactly one of them.
#[tokio::test]
async fn concurrent_batches_in_opposite_order() {
    let fixture = Fixture::start().await;
    for _ in 0..20 {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(fixture.queued().await);
        }
        let reversed: Vec<JobId> = ids.iter().rev().copied().collect();
        let batches = [&ids, &reversed, &ids, &reversed];
        let answers = concurrently(batches.map(|batch| fixture.cancel(batch))).await;
        let answers: Vec<_> = answers.into_iter().flat_map(|answer| answer.expect("no deadlock")).collect();
        assert_eq!(answers.len(), 80, "a job that the other call has just cancelled must be found too");
        assert_eq!(answers.iter().filter(|answer| answer.changed).count(), 20);
    }
}

/// A job that finishes while the cancel waits for its lock is reported as finished.
#[tokio::test]
async fn cancel_against_complete() {
    let fixture = Fixture::start().await;
    for _ in 0..200 {
        let fence = fixture.running(WorkerId::new()).await;
        let ids = [fence.id];
        let (cancelled, settled) =
            tokio::join!(fixture.cancel(&ids), fixture.settle_one(fence, Settle::Complete(None)));
        let cancelled = cancelled.expect("cancel");
        assert_eq!(cancelled.len(), 1);
        assert!(matches!(cancelled[0].state, State::Running | State::Succeeded), "{cancelled:?} {settled:?}");
        assert_eq!(fixture.record(fence.id).await.state, State::Succeeded);
    }
}
