//! Broken histories of a batch.

use super::{check, good, must_find, time};
use crate::evidence::{Callback, Evidence, Row};
use leasehold_tests::BatchCallback;
use sqlx::types::Json;

fn callback(event: &str, numbers: Option<(i64, i64, i64)>) -> Callback {
    let payload = BatchCallback {
        batch: "b".to_owned(),
        event: event.to_owned(),
        succeeded: numbers.map(|numbers| numbers.0),
        dead: numbers.map(|numbers| numbers.1),
        cancelled: numbers.map(|numbers| numbers.2),
    };
    Callback { state: "succeeded".to_owned(), payload: Json(payload) }
}

/// Both jobs are a batch.
fn batch(evidence: &mut Evidence) {
    evidence.batches.push("b".to_owned());
    evidence.rows.iter_mut().for_each(|row| row.batch = Some("b".to_owned()));
    evidence.callbacks = vec![callback("success", Some((2, 0, 0))), callback("complete", Some((2, 0, 0)))];
}

/// The first job was cancelled before it began.
fn with_a_cancelled_job(evidence: &mut Evidence) {
    batch(evidence);
    let first = evidence.rows[0].clone();
    evidence.ledger.cancelled.insert(first.id);
    evidence.log.retain(|line| line.id != first.id);
    let state = "cancelled".to_owned();
    evidence.rows[0] = Row { state, epoch: 0, attempt: 0, result: None, finished_at: Some(time(900)), ..first };
    evidence.callbacks = vec![callback("complete", Some((1, 0, 1)))];
}

/// The second job has killed its worker twice.
fn with_a_death(evidence: &mut Evidence) {
    batch(evidence);
    let row = &mut evidence.rows[1];
    row.state = "dead".to_owned();
    row.trail.0.push(super::entry("expire", 2, super::BOB, 8_000));
    (row.crashes, row.max_crashes, row.result) = (2, 2, None);
    evidence.ledger.poison.insert(row.id);
    evidence.callbacks = vec![callback("death", None), callback("complete", Some((1, 1, 0)))];
}

#[test]
fn the_right_callbacks_are_not_a_finding() {
    for make in [batch, with_a_cancelled_job, with_a_death] {
        let mut evidence = good();
        make(&mut evidence);
        let found = check(&evidence);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_callback_that_is_missing_is_lost() {
    must_find("lost", "for success was made 0 times", |evidence| {
        batch(evidence);
        evidence.callbacks.remove(0);
    });
    must_find("lost", "for death was made 0 times", |evidence| {
        with_a_death(evidence);
        evidence.callbacks.remove(0);
    });
}

#[test]
fn a_callback_that_is_made_twice_is_illegal() {
    must_find("illegal", "for complete was made 2 times", |evidence| {
        batch(evidence);
        evidence.callbacks.push(callback("complete", Some((2, 0, 0))));
    });
}

#[test]
fn a_success_of_a_batch_with_a_cancelled_job_is_illegal() {
    must_find("illegal", "for success was made 1 times", |evidence| {
        with_a_cancelled_job(evidence);
        evidence.callbacks.push(callback("success", Some((1, 0, 1))));
    });
}

#[test]
fn a_callback_with_wrong_numbers_is_illegal() {
    must_find("illegal", "for complete has the numbers", |evidence| {
        batch(evidence);
        evidence.callbacks[1] = callback("complete", Some((1, 0, 0)));
    });
}

#[test]
fn a_callback_that_did_not_end_is_lost() {
    must_find("lost", "for complete is queued", |evidence| {
        batch(evidence);
        evidence.callbacks[1].state = "queued".to_owned();
    });
}
