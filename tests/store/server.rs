//! Tests that need a server: other sessions' transactions, rows that they lock, and values that PostgreSQL cannot
//! store.

use crate::fixture::{Fixture, LEASE, json, new_job};
use leasehold_core::{FinishedRun, JobId, NewJob, Settle, Settled, State, WorkerId};
use leasehold_store::{Expiry, Kinds, Repair, Store};
use sqlx::Connection;
use std::{future::Future, slice::from_ref, time::Duration};
use uuid::Uuid;

/// The answer of a call that must not wait for another session's lock.
async fn without_waiting<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), call).await.expect("an answer while the row is locked")
}

fn sent_again(job: &NewJob) -> NewJob {
    NewJob { id_may_exist: true, ..job.clone() }
}

/// A row that another session has locked is skipped; the claim does not wait for it.
#[tokio::test]
async fn a_claim_does_not_wait_for_a_locked_row() {
    let fixture = Fixture::start().await;
    let (locked, free) = (fixture.queued().await, fixture.queued().await);
    let mut other = fixture.connection().await;
    let lock = format!("BEGIN; SELECT FROM leasehold.job WHERE id = '{locked}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.expect("lock");
    let hints = [locked, free];
    let claim = fixture.claim(WorkerId::new(), &hints, &Kinds::All, LEASE);
    let claimed = without_waiting(claim).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), [free]);
}

/// Recording a repair waits for no lock.
#[tokio::test]
async fn a_note_does_not_wait_for_a_locked_row() {
    let fixture = Fixture::start().await;
    let (locked, free) = (fixture.queued().await, fixture.queued().await);
    let mut other = fixture.connection().await;
    let lock = format!("BEGIN; SELECT FROM leasehold.job WHERE id = '{locked}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.expect("lock");
    let repair = Repair {
        by: Uuid::now_v7(),
        jobs: vec![(locked, None), (free, None)],
        state: Some(State::Queued),
        unclaimed_for: Duration::ZERO,
        note: "hint_missing: pushed again, by a reaper".to_owned(),
    };
    assert_eq!(without_waiting(fixture.note_repairs(&repair)).await.expect("note"), [free]);
}

/// One locked row must not cost the worker its other leases.
#[tokio::test]
async fn a_renewal_does_not_wait_for_a_locked_row() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (locked, free) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.end_lease(locked.id).await;
    fixture.end_lease(free.id).await;
    let mut other = fixture.connection().await;
    let cancel = format!("BEGIN; SELECT leasehold.cancel('{}')", locked.id);
    sqlx::raw_sql(sqlx::AssertSqlSafe(cancel)).execute(&mut other).await.expect("cancel");
    let renewed = without_waiting(fixture.renew(worker, &[locked, free], LEASE)).await.expect("renew");
    assert_eq!(renewed.len(), 2, "the worker must still hold both leases: {renewed:?}");
    // The locked run cannot be expired in the meantime.
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 0);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("commit");
    let renewed = fixture.renew(worker, &[locked, free], LEASE).await.expect("renew");
    assert_eq!(renewed.iter().filter(|lease| lease.cancel_wanted).count(), 1);
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 0);
}

/// The reaper must be able to distinguish a run that its worker does not renew from a run that its worker cannot
/// renew.
#[tokio::test]
async fn expire_reports_locked_rows() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (over, nearly, free, spared) = (
        fixture.running(worker).await.id,
        fixture.running(worker).await.id,
        fixture.running(worker).await.id,
        fixture.running(worker).await.id,
    );
    for id in [over, free, spared] {
        fixture.end_lease(id).await;
    }
    let soon = format!("UPDATE leasehold.job SET lease_expires_at = now() + interval '20 s' WHERE id = '{nearly}'");
    fixture.sql(&soon).await;
    let mut other = fixture.connection().await;
    let lock = format!("BEGIN; SELECT FROM leasehold.job WHERE id IN ('{over}', '{nearly}') FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.expect("lock");
    let expire = async |spared: &[JobId], soon| {
        let expiry = without_waiting(fixture.expire_except(10, None, spared, Duration::from_secs(soon))).await;
        let Expiry { expired, mut locked } = expiry.expect("expire");
        locked.sort();
        (expired.into_iter().map(|job| job.id).collect::<Vec<_>>(), locked)
    };
    assert_eq!(expire(&[spared], 30).await, (vec![free], vec![over, nearly]));
    assert_eq!(expire(&[spared, over], 10).await, (vec![], vec![over]), "a spared job is tried too");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("commit");
    assert_eq!(expire(&[over], 30).await, (vec![spared], vec![]));
    assert_eq!(expire(&[], 30).await, (vec![over], vec![]));
}

/// A result that PostgreSQL cannot store fails only its own job, not the batch.
#[tokio::test]
async fn a_result_that_cannot_be_stored_does_not_affect_other_results() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let deep = json(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let mut runs = Vec::new();
    for settle in [Settle::Complete(Some(json("1"))), Settle::Complete(Some(deep)), Settle::Complete(Some(json("1")))] {
        runs.push(FinishedRun { fence: fixture.running(worker).await, settle });
    }
    assert_eq!(fixture.settle(worker, &runs).await.expect("settle"), [Settled::Done; 3]);
    let [first, spoiled, last] = [0, 1, 2].map(|nth: usize| runs[nth].fence.id);
    assert_eq!(fixture.record(first).await.state, State::Succeeded);
    assert_eq!(fixture.record(last).await.state, State::Succeeded);
    let spoiled = fixture.record(spoiled).await;
    assert_eq!(spoiled.state, State::Dead);
    let told = spoiled.last_error.unwrap_or_default();
    assert!(told.starts_with("its result cannot be stored: ") && told.contains("stack depth"), "{told}");
}

#[tokio::test]
async fn an_enqueue_within_the_callers_transaction() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let (kept, lost) = (new_job(), new_job());
    let mut transaction = connection.begin().await.expect("begin");
    Store::enqueue_in(&mut transaction, from_ref(&lost)).await.expect("enqueue");
    transaction.rollback().await.expect("rollback");
    let mut transaction = connection.begin().await.expect("begin");
    Store::enqueue_in(&mut transaction, &[kept.clone(), sent_again(&kept)]).await.expect("enqueue");
    assert!(fixture.job(kept.id).await.expect("job").is_none(), "the job must not exist before the commit");
    transaction.commit().await.expect("commit");
    assert_eq!(fixture.record(kept.id).await.state, State::Queued);
    assert!(fixture.job(lost.id).await.expect("job").is_none());
}

/// With one snapshot for the whole transaction, it cannot be known whether the job has finished. So the call is
/// refused.
#[tokio::test]
async fn an_id_that_may_exist_needs_read_committed() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let mut transaction = connection.begin().await.expect("begin");
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *transaction).await.expect("set");
    Store::enqueue_in(&mut transaction, &[new_job()]).await.expect("a new id is accepted");
    let refused = Store::enqueue_in(&mut transaction, &[sent_again(&new_job())])
        .await
        .expect_err("an id that may exist is refused");
    assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
}
