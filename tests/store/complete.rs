//! complete: running → succeeded.

use crate::fixture::{
    Fixture, as_it_is, concurrently, is_written_once, json, refuses_jobs_not_running, refuses_stale_fences, retry,
};
use leasehold_core::{FinishedRun, Settle, Settled, State, WorkerId};
use std::time::Duration;

fn complete() -> Settle {
    Settle::Complete(Some(json("1")))
}

#[tokio::test]
async fn keeps_the_result_byte_for_byte_and_moves_the_row() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for result in [Some(r#"{"b": 1.50,  "a":"\u0000\ud83d\ude00"}"#), Some("null"), None] {
        let fence = fixture.running(worker).await;
        assert_eq!(fixture.settle_one(fence, Settle::Complete(result.map(json))).await, Settled::Done);
        let record = fixture.record(fence.id).await;
        assert_eq!(record.state, State::Succeeded);
        assert_eq!(record.result.as_deref().map(|result| result.get()), result);
        assert_eq!(record.payload.get(), r#"{"n":1}"#);
        assert_eq!((record.worker, record.epoch, record.attempt), (Some(worker), 1, 1));
        assert!(record.finished_at >= record.started_at && record.trail.is_empty());
    }
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn answers_in_the_order_of_the_runs() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut runs = Vec::new();
    for nth in 0..12 {
        let fence = fixture.running(worker).await;
        let settle = match nth % 4 {
            0 => complete(),
            1 => Settle::Bury { error: "no".into() },
            2 => Settle::Release,
            _ => Settle::Cancel,
        };
        runs.push(FinishedRun { fence, settle });
    }
    runs.reverse();
    // The same run twice in one batch makes one change, and both answers say so.
    runs.push(runs[3].clone());
    let answers = fixture.settle(worker, &runs).await.expect("settle");
    for (run, answer) in runs.iter().zip(answers.iter()) {
        let expected = if matches!(run.settle, Settle::Cancel) { Settled::LeaseLost } else { Settled::Done };
        assert_eq!(*answer, expected, "{run:?}");
        let expected = match run.settle {
            Settle::Complete(_) => State::Succeeded,
            Settle::Bury { .. } => State::Dead,
            Settle::Release => State::Queued,
            _ => State::Running,
        };
        assert_eq!(fixture.record(run.fence.id).await.state, expected);
    }
    assert_eq!(answers.len(), 13);
}

/// A worker lost a run without noticing and claimed the job again. It ends both runs in one batch.
#[tokio::test]
async fn of_two_runs_of_one_job_the_lost_one_is_reported_as_lost() {
    let snooze = Settle::Snooze { delay: Duration::from_secs(5), reason: None };
    for settle in [complete(), Settle::Bury { error: "no".into() }, retry(), snooze, Settle::Release] {
        let fixture = Fixture::start().await;
        let worker = WorkerId::new();
        let lost = fixture.running(worker).await;
        fixture.end_lease(lost.id).await;
        fixture.expire(10, None).await.expect("expire");
        let current = fixture.claim_one(worker, lost.id).await.fence;
        for fences in [[lost, current], [current, lost]] {
            let runs = fences.map(|fence| FinishedRun { fence, settle: settle.clone() });
            let answers = fixture.settle(worker, &runs).await.expect("settle");
            for (fence, answer) in fences.iter().zip(answers) {
                let is_lost = answer == Settled::LeaseLost;
                assert_eq!(is_lost, *fence == lost, "{answer:?} for {fence:?} of {fences:?}, {settle:?}");
            }
        }
    }
}

#[tokio::test]
async fn is_accepted_even_if_a_cancel_is_wanted() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.cancel(&[fence.id]).await.expect("cancel");
    assert_eq!(fixture.settle_one(fence, complete()).await, Settled::Done);
    assert_eq!(fixture.record(fence.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn stale_fence() {
    refuses_stale_fences(complete()).await;
}

#[tokio::test]
async fn illegal_state() {
    refuses_jobs_not_running(complete()).await;
}

#[tokio::test]
async fn many_times_concurrently() {
    is_written_once(complete(), as_it_is).await;
}

/// The reaper has ended the same run. The answer to the worker must say that the lease was lost.
#[tokio::test]
async fn a_death_by_expiry_is_not_the_workers_own_result() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.set_crashes(fence.id, 2).await;
    fixture.end_lease(fence.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, State::Dead);
    assert_eq!(fixture.settle_one(fence, Settle::Bury { error: "late".into() }).await, Settled::LeaseLost);
}

/// Complete, cancel and expire run at the same time on a run whose lease has run out: exactly one of them wins.
#[tokio::test]
async fn concurrent_complete_cancel_and_expire_have_one_winner() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut winners = [0; 3];
    for _ in 0..150 {
        let fence = fixture.running(worker).await;
        fixture.end_lease(fence.id).await;
        let (settled, cancelled, expired) = tokio::join!(
            fixture.settle_one(fence, complete()),
            async { fixture.cancel(&[fence.id]).await.expect("cancel") },
            async { fixture.expire(10, None).await.expect("expire") },
        );
        let record = fixture.record(fence.id).await;
        let seen = format!("{settled:?} {cancelled:?} {expired:?} {record:?}");
        assert_eq!(cancelled.len(), 1, "{seen}");
        match settled {
            Settled::Done => {
                assert_eq!((record.state, expired.len()), (State::Succeeded, 0), "{seen}");
                winners[0] += 1;
            }
            Settled::LeaseLost => {
                assert_eq!(expired.len(), 1, "{seen}");
                assert!(record.result.is_none(), "{seen}");
                // The job was flagged before the expiry, or cancelled after it, or (if the flag came late) it left the
                // line.
                assert_eq!(record.state, State::Cancelled, "{seen}");
                winners[if expired[0].state == State::Cancelled { 1 } else { 2 }] += 1;
            }
            // The cancel held the row, and the complete passed by. A worker tries again.
            Settled::Locked if expired.is_empty() => {
                assert_eq!(record.state, State::Running, "{seen}");
                assert_eq!(fixture.settle_one(fence, complete()).await, Settled::Done, "{seen}");
                winners[0] += 1;
            }
            // The expire came when the cancel had just ended.
            Settled::Locked => {
                assert_eq!((record.state, expired.len()), (State::Cancelled, 1), "{seen}");
                assert_eq!(fixture.settle_one(fence, complete()).await, Settled::LeaseLost, "{seen}");
                winners[1] += 1;
            }
            Settled::Already | Settled::CancelWanted => panic!("{seen}"),
        }
        assert_eq!(fixture.rows_of(fence.id).await, (0, 1));
    }
    fixture.keeps_the_invariants().await;
    assert_eq!(winners.iter().sum::<i32>(), 150, "{winners:?}");
}

/// Workers that settle overlapping batches in opposite order do not deadlock, because rows are locked in id order.
#[tokio::test]
async fn concurrent_batches_in_opposite_order() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for _ in 0..20 {
        let mut runs = Vec::new();
        for _ in 0..20 {
            runs.push(FinishedRun { fence: fixture.running(worker).await, settle: complete() });
        }
        let reversed: Vec<FinishedRun> = runs.iter().rev().cloned().collect();
        let batches = [&runs, &reversed, &runs, &reversed];
        let answers = concurrently(batches.map(|batch| fixture.settle(worker, batch))).await;
        let answers: Vec<Settled> = answers.into_iter().flat_map(|answer| answer.expect("no deadlock")).collect();
        assert_eq!(answers.iter().filter(|&&answer| answer == Settled::Done).count(), 20);
        assert_eq!(answers.iter().filter(|&&answer| answer == Settled::Already).count(), 60);
    }
}
