//! Broken histories that the checker must find, and a good history in which it finds nothing.

mod batches;
mod figures;

use super::{Findings, check};
use crate::evidence::{Edge, Evidence, Row};
use chrono::{DateTime, Utc};
use leasehold_core::{TrailEntry, WorkerId};
use leasehold_tests::{LogLine, Step};
use sqlx::types::Json;
use uuid::Uuid;

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);
const ALICE: Uuid = Uuid::from_u128(0xa11ce);
const BOB: Uuid = Uuid::from_u128(0xb0b);
const CAROL: Uuid = Uuid::from_u128(0xca401);

fn row(id: Uuid) -> Row {
    Row {
        id,
        state: "succeeded".to_owned(),
        epoch: 1,
        attempt: 1,
        max_attempts: 5,
        crashes: 0,
        max_crashes: 3,
        worker: Some(ALICE),
        result: Some(1),
        trail: Json(Vec::new()),
        unique_key: None,
        batch: None,
        created_at: time(500),
        finished_at: Some(time(9_000)),
    }
}

fn time(at_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at_ms).expect("a time")
}

fn entry(verb: &str, epoch: i32, worker: Uuid, at_ms: i64) -> TrailEntry {
    TrailEntry::new(time(at_ms), verb.to_owned(), epoch, Some(WorkerId(worker)), None)
}

fn line(step: Step, id: Uuid, epoch: i32, worker: Uuid, at_ms: i64) -> LogLine {
    LogLine { step, id, epoch, worker, pid: if worker == ALICE { 100 } else { 200 }, at_ms }
}

/// Two jobs. The first job is run once. The second job loses its worker Alice, and Bob finishes it.
fn good() -> Evidence {
    let mut evidence = Evidence::default();
    evidence.ledger.accepted.extend([FIRST, SECOND]);
    evidence.rows.push(row(FIRST));
    evidence.rows.push(Row {
        epoch: 2,
        attempt: 2,
        crashes: 1,
        worker: Some(BOB),
        result: Some(2),
        trail: Json(vec![entry("expire", 1, ALICE, 5_000)]),
        ..row(SECOND)
    });
    evidence.log = vec![
        line(Step::Start, FIRST, 1, ALICE, 1_000),
        line(Step::End, FIRST, 1, ALICE, 1_100),
        line(Step::Start, SECOND, 1, ALICE, 1_200),
        line(Step::Start, SECOND, 2, BOB, 5_200),
        line(Step::End, SECOND, 2, BOB, 5_300),
    ];
    evidence
}

/// The only finding after `break_it` has broken the good history: its kind and its message.
#[track_caller]
fn found(break_it: impl FnOnce(&mut Evidence)) -> (&'static str, String) {
    let mut evidence = good();
    break_it(&mut evidence);
    let Findings { lost, twice, illegal } = check(&evidence);
    let all = [("lost", lost), ("twice", twice), ("illegal", illegal)];
    let mut all: Vec<_> =
        all.into_iter().flat_map(|(kind, found)| found.into_iter().map(move |what| (kind, what))).collect();
    assert!(!all.is_empty(), "the checker found nothing");
    assert_eq!(all.len(), 1, "the checker found more than the damage: {all:?}");
    all.remove(0)
}

#[track_caller]
fn must_find(kind: &str, what: &str, break_it: impl FnOnce(&mut Evidence)) {
    let (found_kind, found_what) = found(break_it);
    assert_eq!(found_kind, kind, "{found_what}");
    assert!(found_what.contains(what), "{found_what}");
}

#[test]
fn nothing_is_found_in_a_good_history() {
    let Findings { lost, twice, illegal } = check(&good());
    assert_eq!((lost, twice, illegal), (Vec::new(), Vec::new(), Vec::new()));
}

#[test]
fn a_repair_of_a_reaper_between_runs_is_not_a_finding() {
    let mut evidence = good();
    let reaper = Uuid::from_u128(0xEE);
    evidence.rows[1].trail.0.insert(0, entry("repair", 1, reaper, 4_900));
    evidence.rows[1].trail.0.push(entry("repair", 2, reaper, 5_250));
    let Findings { lost, twice, illegal } = check(&evidence);
    assert_eq!((lost, twice, illegal), (Vec::new(), Vec::new(), Vec::new()));
}

/// The second job depends on the first.
fn depends(evidence: &mut Evidence) {
    evidence.rows[0].finished_at = Some(time(1_150));
    evidence.edges.push(Edge { child: SECOND, parent: FIRST, runs_after_failure: false });
}

#[test]
fn a_job_after_its_parent_is_not_a_finding() {
    let mut evidence = good();
    depends(&mut evidence);
    let Findings { lost, twice, illegal } = check(&evidence);
    assert_eq!((lost, twice, illegal), (Vec::new(), Vec::new(), Vec::new()));
}

#[test]
fn a_job_that_starts_before_the_end_of_its_parent_is_illegal() {
    must_find("illegal", "before its parent", |evidence| {
        depends(evidence);
        evidence.rows[0].finished_at = Some(time(1_900));
    });
}

#[test]
fn a_job_that_runs_after_a_failure_of_its_parent_is_illegal() {
    must_find("illegal", "although one of its parents failed", |evidence| {
        depends(evidence);
        let first = evidence.rows[0].clone();
        evidence.rows[0] = Row { state: "dead".to_owned(), max_attempts: first.attempt, result: None, ..first };
        evidence.ledger.poison.insert(FIRST);
    });
}

#[test]
fn a_job_that_is_cancelled_without_cause_is_illegal() {
    must_find("illegal", "although its parents let it start", |evidence| {
        depends(evidence);
        let never = Row { epoch: 0, attempt: 0, crashes: 0, worker: None, result: None, ..row(SECOND) };
        evidence.rows[1] = Row { state: "cancelled".to_owned(), ..never };
        evidence.log.retain(|line| line.id != SECOND);
    });
}

#[test]
fn a_job_that_vanished_is_lost() {
    must_find("lost", "does not exist", |evidence| {
        evidence.rows.remove(0);
        evidence.log.retain(|line| line.id != FIRST);
    });
}

#[test]
fn a_job_that_never_ends_is_lost() {
    must_find("lost", "still queued", |evidence| {
        evidence.rows[1] = Row {
            state: "queued".to_owned(),
            epoch: 1,
            attempt: 1,
            worker: None,
            result: None,
            ..evidence.rows[1].clone()
        };
        evidence.log.retain(|line| line.epoch == 1);
    });
}

#[test]
fn a_job_with_two_ends_is_accepted_twice() {
    must_find("twice", "2 times: succeeded, succeeded", |evidence| evidence.rows.push(row(FIRST)));
}

#[test]
fn a_job_that_is_live_after_its_end_is_accepted_twice() {
    must_find("twice", "2 times: succeeded, queued", |evidence| {
        let queued = Row { state: "queued".to_owned(), epoch: 0, attempt: 0, worker: None, result: None, ..row(FIRST) };
        evidence.rows.push(queued);
        // A queued job has an entry in its trail for each of its claims; this one has none.
    });
}

#[test]
fn a_result_of_an_earlier_run_is_accepted_twice() {
    must_find("twice", "has the result of run Some(1)", |evidence| evidence.rows[1].result = Some(1));
}

#[test]
fn a_result_of_another_worker_is_accepted_twice() {
    must_find("twice", "from another worker", |evidence| evidence.rows[0].worker = Some(BOB));
}

#[test]
fn a_result_without_a_run_is_illegal() {
    must_find("illegal", "no handler ran to its end", |evidence| {
        evidence.log.retain(|line| line.id != FIRST || line.step != Step::End);
    });
}

#[test]
fn a_job_that_nobody_enqueued_is_illegal() {
    must_find("illegal", "nobody enqueued it", |evidence| {
        evidence.ledger.accepted.remove(&FIRST);
    });
}

#[test]
fn a_job_that_was_refused_and_exists_is_illegal() {
    must_find("illegal", "was not accepted", |evidence| {
        evidence.ledger.accepted.remove(&FIRST);
        evidence.ledger.refused.insert(FIRST);
    });
}

#[test]
fn a_job_with_an_unknown_outcome_may_exist_or_not() {
    let mut evidence = good();
    evidence.ledger.accepted.remove(&FIRST);
    evidence.ledger.unknown.extend([FIRST, Uuid::from_u128(3)]);
    assert!(check(&evidence).is_empty());
}

#[test]
fn a_claim_that_two_workers_run_is_illegal() {
    must_find("illegal", "two lines Start", |evidence| evidence.log.push(line(Step::Start, FIRST, 1, BOB, 1_050)));
}

#[test]
fn a_run_during_the_lease_of_the_one_before_is_illegal() {
    must_find("illegal", "held its lease", |evidence| evidence.log[3].at_ms = 4_900);
}

#[test]
fn a_run_that_its_row_does_not_know_is_illegal() {
    must_find("illegal", "its row has 1 claims", |evidence| {
        evidence.log.push(line(Step::Start, FIRST, 2, BOB, 2_000));
    });
}

#[test]
fn a_lease_lost_by_another_worker_than_ran_is_illegal() {
    must_find("illegal", "by another worker than its trail says", |evidence| {
        evidence.rows[1].trail.0[0].worker = Some(WorkerId(BOB));
    });
}

#[test]
fn a_claim_without_an_end_is_illegal() {
    must_find("illegal", "its trail has the epochs []", |evidence| {
        evidence.rows[1].trail.0.clear();
        evidence.rows[1].crashes = 0;
        evidence.rows[1].attempt = 2;
    });
}

#[test]
fn an_end_told_twice_is_illegal() {
    must_find("illegal", "its trail has the epochs [1, 1]", |evidence| {
        let row = &mut evidence.rows[1];
        row.trail.0.push(entry("expire", 1, ALICE, 5_001));
        row.crashes = 2;
    });
}

#[test]
fn a_trail_that_goes_back_in_time_is_illegal() {
    must_find("illegal", "is earlier than the entry before it", |evidence| {
        let row = &mut evidence.rows[1];
        row.trail.0.push(entry("expire", 2, BOB, 4_000));
        (row.epoch, row.attempt, row.crashes, row.result) = (3, 3, 2, Some(3));
        evidence.log[4] = line(Step::Start, SECOND, 3, BOB, 6_000);
        evidence.log.push(line(Step::End, SECOND, 3, BOB, 6_100));
    });
}

#[test]
fn a_crash_that_is_not_counted_is_illegal() {
    must_find("illegal", "0 crashes, but 1 lost leases", |evidence| evidence.rows[1].crashes = 0);
}

#[test]
fn an_attempt_that_is_not_spent_is_illegal() {
    must_find("illegal", "1 attempts in 2 claims, 0 of them given back", |evidence| evidence.rows[1].attempt = 1);
}

#[test]
fn an_attempt_that_is_given_back_at_a_stop_is_fine() {
    let mut evidence = good();
    let row = &mut evidence.rows[1];
    row.trail.0[0].verb = "release".to_owned();
    (row.attempt, row.crashes) = (1, 0);
    assert!(check(&evidence).is_empty());
}

#[test]
fn attempts_and_crashes_beyond_their_limits_are_illegal() {
    must_find("illegal", "2 attempts of 1", |evidence| evidence.rows[1].max_attempts = 1);
    must_find("illegal", "1 crashes of 0", |evidence| evidence.rows[1].max_crashes = 0);
}

#[test]
fn a_death_before_its_time_is_illegal() {
    must_find("illegal", "dead after 2 of 3 crashes", |evidence| {
        let row = &mut evidence.rows[1];
        row.state = "dead".to_owned();
        row.trail.0.push(entry("expire", 2, BOB, 8_000));
        (row.crashes, row.result) = (2, None);
        evidence.ledger.poison.insert(SECOND);
    });
}

#[test]
fn a_death_after_the_last_crash_is_fine() {
    let mut evidence = good();
    let row = &mut evidence.rows[1];
    row.state = "dead".to_owned();
    row.trail.0.push(entry("expire", 2, BOB, 8_000));
    (row.crashes, row.max_crashes, row.result) = (2, 2, None);
    evidence.ledger.poison.insert(SECOND);
    assert!(check(&evidence).is_empty());
}

#[test]
fn a_death_of_a_job_that_kills_nobody_is_illegal() {
    must_find("illegal", "but kills no worker", |evidence| {
        let row = &mut evidence.rows[1];
        row.state = "dead".to_owned();
        row.trail.0.push(entry("expire", 2, BOB, 8_000));
        (row.crashes, row.max_crashes, row.result) = (2, 2, None);
    });
}

#[test]
fn a_cancel_that_nobody_asked_for_is_illegal() {
    must_find("illegal", "nobody cancelled it", |evidence| {
        let row = &mut evidence.rows[0];
        (row.state, row.epoch, row.attempt, row.result) = ("cancelled".to_owned(), 0, 0, None);
        evidence.log.retain(|line| line.id != FIRST);
    });
}

#[test]
fn a_verb_that_nobody_used_is_illegal() {
    must_find("illegal", "revive in the trail", |evidence| {
        evidence.rows[0].trail.0.push(entry("revive", 0, ALICE, 1));
        evidence.rows[0].trail.0.clear();
        evidence.rows[1].trail.0[0].verb = "revive".to_owned();
        evidence.rows[1].crashes = 0;
    });
}

#[test]
fn a_stop_that_burns_an_attempt_is_illegal() {
    must_find("illegal", "2 attempts in 2 claims, 1 of them given back", |evidence| {
        let row = &mut evidence.rows[1];
        row.trail.0[0].verb = "release".to_owned();
        row.crashes = 0;
    });
}

#[test]
fn two_live_jobs_of_one_key_are_illegal() {
    must_find("illegal", "have the key k and were live at the same time", |evidence| {
        evidence.rows.iter_mut().for_each(|row| row.unique_key = Some("k".to_owned()));
        evidence.rows[1].created_at = time(4_000);
    });
}

#[test]
fn one_job_of_a_key_after_the_other_is_fine() {
    let mut evidence = good();
    evidence.rows.iter_mut().for_each(|row| row.unique_key = Some("k".to_owned()));
    evidence.rows[0].finished_at = Some(time(1_100));
    evidence.rows[1].created_at = time(1_101);
    assert!(check(&evidence).is_empty());
}

#[test]
fn leftovers_in_redis_and_findings_of_the_stores_own_checks_are_illegal() {
    must_find("illegal", "Redis still holds", |evidence| evidence.left_in_redis.push("x in leases".to_owned()));
    must_find("illegal", "doctor", |evidence| evidence.violations.push("doctor, drift: 1".to_owned()));
    must_find("illegal", "worker", |evidence| evidence.ended_badly.push("worker 1 ended".to_owned()));
}
