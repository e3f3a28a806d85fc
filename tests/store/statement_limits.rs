//! A statement that fails, takes too long, or whose caller has gone away leaves nothing at the server, and its
//! connection is used again where possible.

use crate::{
    fixture::{Fixture, LEASE, json},
    subject::{connect, connect_within},
};
use leasehold_core::{FinishedRun, JobId, Settle, Settled, WorkerId};
use leasehold_store::Kinds;
use leasehold_tests::{Database, eventually};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{collections::BTreeSet, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Another session's transaction that holds the row of this job.
async fn lock(database: &Database, id: JobId) -> PgConnection {
    let mut other = database.connect().await;
    let lock = format!("BEGIN; SELECT FROM leasehold.job WHERE id = '{id}' FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut other).await.expect("a lock");
    other
}

/// A job whose `unblock` waits for as long as a statement may. Other verbs give up sooner on a locked row.
async fn blocked(fixture: &Fixture) -> JobId {
    let id = fixture.queued().await;
    fixture.sql(format!("UPDATE leasehold.job SET state = 'blocked' WHERE id = '{id}'")).await;
    id
}

/// The server processes that work for stores.
async fn backends(watch: &mut PgConnection, which: &str) -> BTreeSet<i32> {
    let query = format!(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'leasehold tests' AND {which}"
    );
    let pids: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(watch).await.expect("a look");
    pids.into_iter().collect()
}

async fn nobody_waits_at_the_server(database: &Database) {
    let watch = tokio::sync::Mutex::new(database.connect().await);
    eventually("no statement waits for a lock", TIMEOUT, || async {
        let waiting = backends(&mut *watch.lock().await, "wait_event_type = 'Lock'").await;
        if waiting.is_empty() { Ok(()) } else { Err(waiting) }
    })
    .await;
}

/// The server could not execute a statement. Its connection can still be used.
#[tokio::test]
async fn an_error_of_a_statement_costs_no_connection() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let locked = fixture.queued().await;
    let _lock = lock(&fixture.database, locked).await;
    let mut watch = fixture.connection().await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        // A result that exceeds the server's stack (54001), and a lock that is not available in time (55P03).
        let deep = json(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
        let run = FinishedRun { fence: fixture.running(worker).await, settle: Settle::Complete(Some(deep)) };
        assert_eq!(fixture.settle(worker, &[run]).await.expect("settle"), [Settled::Done]);
        assert!(fixture.claim(worker, &[locked], &Kinds::All, LEASE).await.expect("claim").is_empty());
        seen.extend(backends(&mut watch, "true").await);
    }
    // The fixture's own connection has the same application name.
    assert!(seen.len() <= 2, "{seen:?}");
}

/// The server cancels a statement before its caller gives up, and the error tells the caller what to look for.
#[tokio::test]
async fn a_statement_that_waits_for_a_lock_ends_before_its_caller_does() {
    let fixture = Fixture::start().await;
    let store = connect_within(&fixture.database, 2, Duration::from_millis(500)).await;
    let locked = blocked(&fixture).await;
    let _lock = lock(&fixture.database, locked).await;
    let mut watch = fixture.connection().await;
    store.ping().await.expect("ping");
    let before = backends(&mut watch, "state = 'idle'").await;
    let error = store.unblock(&[locked]).await.expect_err("the row is locked");
    let told = error.to_string();
    assert!(told.contains("did not end within 900 ms; it may be waiting for a lock (while "), "{told}");
    assert!(told.contains("in relation \"job\"") && !told.contains('\n'), "{told}");
    assert!(error.is_transient() && !error.is_refusal(), "{error:?}");
    nobody_waits_at_the_server(&fixture.database).await;
    store.ping().await.expect("ping");
    let after = backends(&mut watch, "state = 'idle'").await;
    assert!(after.is_subset(&before), "there is a new connection: {before:?}, {after:?}");
}

/// A statement that may take long has its own timeout. The next statement on the same connection has the usual timeout
/// again.
#[tokio::test]
async fn each_statement_has_its_own_timeout() {
    let fixture = Fixture::start().await;
    let store = connect_within(&fixture.database, 1, Duration::from_millis(500)).await;
    let locked = blocked(&fixture).await;
    let lock = lock(&fixture.database, locked).await;
    for _ in 0..2 {
        store.survey(None).await.expect("survey");
        store.stats().await.expect("stats");
        let error = store.unblock(&[locked]).await.expect_err("the row is locked");
        assert!(error.to_string().contains("did not end within 900 ms"), "{error}");
    }
    drop(lock);
    // A statement that waits longer than other statements may.
    let mut whole = fixture.connection().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE leasehold.job").execute(&mut whole).await.expect("a lock");
    let survey = tokio::spawn({
        let store = store.clone();
        async move { store.survey(None).await.map(drop) }
    });
    let watch = tokio::sync::Mutex::new(fixture.connection().await);
    let longer = "wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '1500 milliseconds'";
    eventually("the survey waits", TIMEOUT, || async {
        let waiting = backends(&mut *watch.lock().await, longer).await;
        if waiting.is_empty() { Err(()) } else { Ok(()) }
    })
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut whole).await.expect("releasing the lock");
    survey.await.expect("no panic").expect("survey");
}

/// Callers that go away leave nothing behind. However many they are, a process never has more connections at the server
/// than it may have.
#[tokio::test]
async fn callers_that_go_away_leave_nothing_at_the_server() {
    let fixture = Fixture::start().await;
    let store = connect(&fixture.database, 4).await;
    let locked = fixture.queued().await;
    let mut watch = fixture.connection().await;
    let own = backends(&mut watch, "true").await;
    let _lock = lock(&fixture.database, locked).await;
    let callers: Vec<_> = (0..50)
        .map(|nth| {
            let store = store.clone();
            tokio::spawn(async move {
                let patience = Duration::from_millis(100 + 40 * nth);
                tokio::time::timeout(patience, store.cancel(&[locked])).await.is_err()
            })
        })
        .collect();
    let mut most = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        most = most.max(backends(&mut watch, "true").await.difference(&own).count());
        tokio::task::yield_now().await;
    }
    assert!((1..=4).contains(&most), "{most} connections");
    for caller in callers {
        assert!(caller.await.expect("no panic"), "got an answer while the row was locked");
    }
    nobody_waits_at_the_server(&fixture.database).await;
    eventually("the store answers again", TIMEOUT, || async { store.ping().await }).await;
}
