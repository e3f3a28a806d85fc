//! note_repairs: a repair is recorded in the trails of exactly the jobs that it applies to.

use crate::fixture::{Fixture, new_job};
use leasehold_core::{Epoch, JobId, JobRecord, Settle, State, TrailEntry, WorkerId};
use leasehold_store::Repair;
use std::time::Duration;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);

fn repair(jobs: &[(JobId, Option<Epoch>)], state: Option<State>) -> Repair {
    Repair {
        by: Uuid::now_v7(),
        jobs: jobs.to_vec(),
        state,
        unclaimed_for: Duration::ZERO,
        note: "lease_missing: leased again, by a reaper".to_owned(),
    }
}

fn said(trail: &[TrailEntry]) -> Vec<(&str, Epoch)> {
    trail.iter().map(|entry| (entry.verb.as_str(), entry.epoch)).collect()
}

/// A row without its trail, as text.
fn without_trail(record: JobRecord) -> String {
    format!("{:?}", record.with(|record| record.trail = Vec::new()))
}

#[tokio::test]
async fn only_the_trail_changes_and_it_says_what_when_and_by_whom() {
    let fixture = Fixture::start().await;
    let run = fixture.running(WorkerId::new()).await;
    let before = fixture.record(run.id).await;
    let repair = repair(&[(run.id, Some(run.epoch))], Some(State::Running));
    assert_eq!(fixture.note_repairs(&repair).await.expect("note"), [run.id]);
    let after = fixture.record(run.id).await;
    let [entry] = &after.trail[..] else { panic!("{:?}", after.trail) };
    assert_eq!((entry.verb.as_str(), entry.epoch), ("repair", run.epoch));
    assert_eq!(entry.worker.map(|by| by.0), Some(repair.by));
    assert_eq!(entry.note.as_deref(), Some(&*repair.note));
    assert!(entry.at >= before.created_at);
    assert_eq!(without_trail(before), without_trail(after));
}

#[tokio::test]
async fn jobs_that_have_moved_on_are_left_unchanged() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (run, finished) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let other_epoch = repair(&[(run.id, Some(run.epoch + 1)), (finished.id, None), (JobId::new(), None)], None);
    let other_state = repair(&[(run.id, None)], Some(State::Queued));
    let claimed_since = Repair { unclaimed_for: HOUR, ..repair(&[(run.id, None)], None) };
    for moved_on in [other_epoch, other_state, claimed_since] {
        assert_eq!(fixture.note_repairs(&moved_on).await.expect("note"), [], "{moved_on:?}");
    }
    assert_eq!(fixture.record(run.id).await.trail, []);
    assert_eq!(fixture.record(finished.id).await.trail, []);
}

#[tokio::test]
async fn a_job_that_was_never_claimed_counts_as_unclaimed_for_any_time() {
    let fixture = Fixture::start().await;
    let job = new_job();
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let repair = Repair { unclaimed_for: HOUR, ..repair(&[(job.id, None)], Some(State::Queued)) };
    assert_eq!(fixture.note_repairs(&repair).await.expect("note"), [job.id]);
    assert_eq!(said(&fixture.record(job.id).await.trail), [("repair", 0)]);
}

#[tokio::test]
async fn a_repair_that_equals_the_last_entry_is_not_recorded_again() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let run = fixture.running(worker).await;
    let repair = repair(&[(run.id, None)], None);
    for _ in 0..3 {
        assert_eq!(fixture.note_repairs(&repair).await.expect("note"), [run.id]);
    }
    assert_eq!(said(&fixture.record(run.id).await.trail), [("repair", 1)]);
    fixture.settle_one(run, Settle::Release).await;
    fixture.claim_one(worker, run.id).await;
    fixture.note_repairs(&repair).await.expect("note");
    assert_eq!(said(&fixture.record(run.id).await.trail), [("repair", 1), ("release", 1), ("repair", 2)]);
}

/// A worker whose settle was written but not answered learns of it from the trail. A repair must not hide that.
#[tokio::test]
async fn a_settle_that_is_sent_again_is_still_recognized() {
    let fixture = Fixture::start().await;
    let run = fixture.running(WorkerId::new()).await;
    fixture.settle_one(run, Settle::Release).await;
    fixture.note_repairs(&repair(&[(run.id, None)], Some(State::Queued))).await.expect("note");
    assert_eq!(fixture.settle_one(run, Settle::Release).await, leasehold_core::Settled::Already);
}
