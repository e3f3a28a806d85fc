//! place: another priority or another queue for jobs that wait.

use crate::fixture::{Fixture, LEASE, concurrently, name, neutral, new_job};
use chrono::TimeDelta;
use leasehold_core::{JobId, NewJob, Place, QueueName, Settle, State, WorkerId};
use leasehold_ports::{Claims, Class, Kinds, LookUp, Placed, STRICT_PRIORITY_STEP};
use std::time::Duration;

async fn line(fixture: &Fixture, queue: &QueueName) -> Vec<JobId> {
    fixture.front(queue, &Kinds::All, 100).await.expect("line").ids()
}

fn of(placed: &[Placed], id: JobId) -> &Placed {
    placed.iter().find(|placed| placed.id == id).expect("an answer for the job")
}

#[tokio::test]
async fn a_new_priority_moves_a_job_in_both_directions() {
    let fixture = Fixture::start().await;
    let ids = [fixture.queued().await, fixture.queued().await, fixture.queued().await];
    let default = name("default");
    let before = fixture.record(ids[2]).await;
    let placed = fixture.place(&[ids[2], JobId::new()], &Place::Priority(2)).await.expect("place");
    assert_eq!(placed.len(), 1, "an unknown id has no answer");
    assert_eq!((placed[0].state, placed[0].changed, &placed[0].queue), (State::Queued, true, &default));
    assert_eq!(before.run_at - placed[0].line_at.expect("a position"), TimeDelta::hours(2));
    assert_eq!(line(&fixture, &default).await, [ids[2], ids[0], ids[1]]);
    assert_eq!(fixture.record(ids[2]).await.priority, 2);

    fixture.place(&[ids[2], ids[0]], &Place::Priority(-1)).await.expect("place");
    assert_eq!(line(&fixture, &default).await, [ids[1], ids[0], ids[2]]);
    let again = fixture.place(&ids[..1], &Place::Priority(-1)).await.expect("place");
    assert_eq!((again[0].changed, again[0].line_at), (false, None), "nothing changes twice");
}

#[tokio::test]
async fn a_moved_job_goes_by_the_step_of_its_new_queue_and_is_claimed_there_only() {
    let fixture = Fixture::start().await;
    let (default, other) = (name("default"), name("other"));
    fixture.set_priority_step(&other, STRICT_PRIORITY_STEP).await.expect("strict");
    let job = NewJob { priority: 1, ..new_job() };
    let id = fixture.enqueue(&[job]).await.expect("enqueue")[0].id;
    let run_at = fixture.record(id).await.run_at;
    let placed = fixture.place(&[id], &Place::Queue(other.clone())).await.expect("place");
    assert_eq!((&placed[0].was_in, &placed[0].queue, placed[0].changed), (&default, &other, true));
    let head_start = (run_at - placed[0].line_at.expect("a position")).to_std().expect("a head start");
    assert_eq!(head_start, STRICT_PRIORITY_STEP);
    assert_eq!((line(&fixture, &default).await, line(&fixture, &other).await), (vec![], vec![id]));

    // A worker of the old queue still has the hint.
    let worker = WorkerId::new();
    assert!(fixture.claim(worker, &[id], &Kinds::All, LEASE).await.expect("claim").is_empty());
    assert!(fixture.claim_careful(worker, &[id], &Kinds::All, 9, LEASE).await.expect("claim").is_empty());
    let looked = LookUp::look(&*fixture, &[id], &Kinds::All).await.expect("look");
    assert_eq!(looked[0].queue, other, "the worker learns why");
    let claimed = Claims::claim(&*fixture, worker, &other, &[id], &Kinds::All, LEASE).await.expect("claim");
    assert_eq!((claimed.len(), &claimed[0].queue), (1, &other));
}

#[tokio::test]
async fn jobs_that_do_not_wait_stay_as_they_are() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (running, finished) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let ids = [running.id, finished.id];
    for place in [Place::Priority(9), Place::Queue(name("other"))] {
        let placed = fixture.place(&ids, &place).await.expect("place");
        assert_eq!(placed.len(), 2);
        assert_eq!((of(&placed, ids[0]).state, of(&placed, ids[1]).state), (State::Running, State::Succeeded));
        assert!(placed.iter().all(|placed| !placed.changed && placed.line_at.is_none()), "{placed:?}");
    }
    for id in ids {
        let record = fixture.record(id).await;
        assert_eq!((record.priority, record.queue.as_str()), (0, "default"));
    }
}

#[tokio::test]
async fn scheduled_and_blocked_jobs_have_their_new_place_when_they_come_into_the_line() {
    let fixture = Fixture::start().await;
    let other = name("other");
    let job = NewJob { delay: Some(Duration::from_secs(3600)), ..new_job() };
    let scheduled = fixture.enqueue(&[job]).await.expect("enqueue")[0].id;
    let blocked = fixture.queued().await;
    fixture.block(blocked).await;
    let ids = [scheduled, blocked];
    let placed = fixture.place(&ids, &Place::Priority(3)).await.expect("place");
    assert_eq!((of(&placed, scheduled).state, of(&placed, blocked).state), (State::Scheduled, State::Blocked));
    assert!(fixture.place(&ids, &Place::Queue(other.clone())).await.expect("place").iter().all(|one| one.changed));
    fixture.make_scheduled_due().await;
    let due = fixture.promote(9, None).await.expect("promote").jobs;
    assert_eq!((due[0].id, &due[0].queue), (scheduled, &other));
    assert_eq!(fixture.record(scheduled).await.run_at - due[0].line_at, TimeDelta::hours(3));
}

#[tokio::test]
async fn a_priority_out_of_range_is_refused() {
    let fixture = Fixture::start().await;
    let id = fixture.queued().await;
    let refused = neutral(fixture.place(&[id], &Place::Priority(101)).await.expect_err("too high"));
    assert_eq!(refused.class, Class::Invalid, "{refused}");
    assert_eq!(fixture.record(id).await.priority, 0);
}

/// A claim, a cancel, a change of priority and a move of the same job, all at the same time. Whatever comes first, the
/// answers fit one order of the four, and the job is in exactly one place afterwards.
#[tokio::test]
async fn claim_cancel_priority_and_move_of_one_job_have_one_order() {
    let fixture = Fixture::start().await;
    let other = name("other");
    let (mut claims, mut moves) = (0, 0);
    for round in 0..50 {
        let id = fixture.queued().await;
        let ids = [id];
        let worker = WorkerId::new();
        let (up, away) = (Place::Priority(7), Place::Queue(other.clone()));
        let claim = async || fixture.claim(worker, &ids, &Kinds::All, LEASE).await.expect("claim");
        let cancel = async || fixture.cancel(&ids).await.expect("cancel");
        let raise = async || fixture.place(&ids, &up).await.expect("a priority");
        let send = async || fixture.place(&ids, &away).await.expect("a move");
        // Each of them is the first one to be sent in some rounds.
        let (claimed, cancelled, raised, moved) = match round % 4 {
            0 => tokio::join!(claim(), cancel(), raise(), send()),
            1 => {
                let (b, c, d, a) = tokio::join!(cancel(), raise(), send(), claim());
                (a, b, c, d)
            }
            2 => {
                let (c, d, a, b) = tokio::join!(raise(), send(), claim(), cancel());
                (a, b, c, d)
            }
            _ => {
                let (d, a, b, c) = tokio::join!(send(), claim(), cancel(), raise());
                (a, b, c, d)
            }
        };
        let record = fixture.record(id).await;
        let (live, finished) = fixture.rows_of(id).await;
        assert_eq!((cancelled.len(), raised.len(), moved.len(), live + finished), (1, 1, 1, 1));
        let told = format!("{claimed:?} {cancelled:?} {raised:?} {moved:?} {record:?}");
        // The row says what was changed, and nothing else.
        assert_eq!(record.priority, if raised[0].changed { 7 } else { 0 }, "{told}");
        assert_eq!(record.queue, if moved[0].changed { "other" } else { "default" }, "{told}");
        if let Some(run) = claimed.first() {
            claims += 1;
            // A claim of the hint of the old queue, so the move came after it and changed nothing.
            assert!(!moved[0].changed && run.queue.as_str() == "default", "{told}");
            assert_eq!((record.state, cancelled[0].state, record.epoch), (State::Running, State::Running, 1), "{told}");
        } else {
            assert_eq!((record.state, cancelled[0].state), (State::Cancelled, State::Cancelled), "{told}");
            assert_eq!(record.epoch, 0, "{told}");
            assert!(cancelled[0].changed, "{told}");
        }
        moves += u32::from(moved[0].changed);
        fixture.cancel(&ids).await.expect("cancel");
    }
    assert!(claims > 0 && moves > 0, "each of them must win sometimes: {claims} claims, {moves} moves");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn batches_in_opposite_order_do_not_wait_for_each_other_in_a_circle() {
    let fixture = Fixture::start().await;
    for round in 1..10 {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(fixture.queued().await);
        }
        let reversed: Vec<JobId> = ids.iter().rev().copied().collect();
        let places = [Place::Priority(round), Place::Priority(-round)];
        let calls = [(&ids, &places[0]), (&reversed, &places[1]), (&reversed, &places[0]), (&ids, &places[1])];
        let answers = concurrently(calls.map(|(batch, place)| fixture.place(batch, place))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|placed| placed.len() == 20)), "{answers:?}");
    }
}
