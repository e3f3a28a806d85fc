//! Locks that another session's open transaction holds: the wait for them is bounded, the error names them, and they
//! block nothing else.

use crate::{
    fixture::{Fixture, json, new_job},
    subject::{connect, settings},
};
use leasehold_core::{JobId, NewJob, QueueName, Settle, WorkerId};
use leasehold_store::{Error, HttpClaim, Kinds, LockedOut, Settings, Store};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};

pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_millis(600);

/// Another session with an open transaction.
pub(crate) async fn somebody(fixture: &Fixture, script: &str) -> PgConnection {
    let mut other = fixture.connection().await;
    let script = format!("SET application_name = 'an import'; BEGIN; {script}");
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut other).await.expect("an open transaction");
    other
}

pub(crate) async fn ends(mut other: PgConnection, how: &str) {
    sqlx::raw_sql(AssertSqlSafe(how.to_owned())).execute(&mut other).await.expect("the end of the transaction");
}

pub(crate) async fn store_with_short_lock_timeout(fixture: &Fixture) -> Store {
    connect(&fixture.database, 8).await.with_lock_timeout(LOCK_TIMEOUT)
}

pub(crate) fn keyed(key: &str) -> NewJob {
    NewJob { unique_key: Some(key.to_owned()), ..new_job() }
}

pub(crate) fn locked(error: Error) -> LockedOut {
    assert!(error.is_transient() && !error.is_refusal(), "{error}");
    match error {
        Error::Locked(locked) => *locked,
        other => panic!("{other}"),
    }
}

/// Checks that no statement of the store still waits at the server.
pub(crate) async fn no_statement_waits(fixture: &Fixture) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(fixture.number(waiting).await, 0);
}

#[tokio::test]
async fn a_held_key_is_named_and_the_others_are_accepted() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let other = somebody(&fixture, "SELECT leasehold.enqueue('k', '1', unique_key => 'b')").await;
    let begun = Instant::now();
    let jobs = [keyed("a"), keyed("b"), new_job(), keyed("c"), keyed("b")];
    let error = store.enqueue(&jobs).await.expect_err("held");
    assert!(begun.elapsed() >= LOCK_TIMEOUT && begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let told = error.to_string();
    for part in [
        "unique key \"b\" is held by an open transaction of another session (pid ",
        "application an import, idle in transaction, open for",
        "try again",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let locked = locked(error);
    assert_eq!(locked.held.iter().map(|held| held.nth).collect::<Vec<_>>(), [1, 4]);
    let accepted: Vec<bool> = locked.accepted.iter().map(Option::is_some).collect();
    assert_eq!(accepted, [true, false, true, true, false]);
    assert_eq!(fixture.live_jobs().await, 3);
    no_statement_waits(&fixture).await;
    ends(other, "ROLLBACK").await;
    let answers = store.enqueue(&jobs).await.expect("the keys are free again");
    assert_eq!(answers.iter().map(|answer| answer.inserted).collect::<Vec<_>>(), [false, true, false, false, false]);
}

/// The error names the table and its holder, and comes when the first statement has timed out: the time for other locks
/// is not added.
#[tokio::test]
async fn a_locked_table_is_named_after_one_statement_timeout() {
    let fixture = Fixture::start().await;
    let acquire_timeout = Duration::from_millis(1500);
    let settings = Settings { acquire_timeout, ..settings(&fixture.database.url, 8) };
    let store = Store::connect(&settings).await.expect("connecting").with_lock_timeout(Duration::from_secs(2));
    store.enqueue(&[new_job()]).await.expect("enqueue");
    let other = somebody(&fixture, "LOCK TABLE leasehold.job").await;
    let begun = Instant::now();
    let told = store.enqueue(&[new_job()]).await.expect_err("locked").to_string();
    let statement_timeout = acquire_timeout * 2 * 9 / 10;
    assert!(begun.elapsed() < statement_timeout + Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(
        told.contains("the table leasehold.job is locked by an open transaction of another session (pid "),
        "{told}"
    );
    no_statement_waits(&fixture).await;
    ends(other, "ROLLBACK").await;
    assert_eq!(fixture.live_jobs().await, 1);
}

/// A transaction that ends in time is waited for, and its result is respected.
#[tokio::test]
async fn a_key_that_becomes_free_in_time_is_used_or_its_job_is_answered() {
    for (end, inserted) in [("COMMIT", false), ("ROLLBACK", true)] {
        let fixture = Fixture::start().await;
        let other = somebody(&fixture, "SELECT leasehold.enqueue('k', '1', unique_key => 'b')").await;
        let job = [keyed("b")];
        let (answers, ()) = tokio::join!(fixture.enqueue(&job), async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            ends(other, end).await;
        });
        assert_eq!(answers.expect("enqueue")[0].inserted, inserted, "{end}");
        assert_eq!(fixture.live_jobs().await, 1);
    }
}

/// An id that an open transaction has inserted, and a key whose job an open transaction has cancelled.
#[tokio::test]
async fn ids_and_keys_of_cancelled_jobs_are_held_too() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    store.enqueue(&[keyed("x")]).await.expect("enqueue");
    let id = JobId::new();
    let other = somebody(
        &fixture,
        &format!(
            "SELECT leasehold.enqueue('k', '1', id => '{id}');
             SELECT leasehold.cancel(id) FROM leasehold.job WHERE unique_key = 'x'"
        ),
    )
    .await;
    let sent = NewJob { id, id_may_exist: true, ..new_job() };
    let locked = locked(store.enqueue(&[sent, keyed("x"), new_job()]).await.expect_err("held"));
    let named: Vec<&str> = locked.held.iter().map(|held| held.what.as_str()).collect();
    assert_eq!(named, [&format!("id {id}"), "unique key \"x\""]);
    no_statement_waits(&fixture).await;
    ends(other, "COMMIT").await;
}

/// Five hundred held keys cost seconds and not minutes, and no connection.
#[tokio::test]
async fn many_held_keys_are_bounded() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let other =
        somebody(&fixture, "SELECT leasehold.enqueue('k', '1', unique_key => n::text) FROM generate_series(1, 500) n")
            .await;
    let jobs: Vec<NewJob> = (1..=510).map(|nth: u32| keyed(&nth.to_string())).collect();
    let begun = Instant::now();
    let locked = locked(store.enqueue(&jobs).await.expect_err("held"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(locked.held.len(), 500);
    assert_eq!(fixture.live_jobs().await, 10);
    assert!(locked.to_string().ends_with("; and 497 more"), "{locked}");
    ends(other, "ROLLBACK").await;
}

/// A caller's own transaction keeps the caller's settings.
#[tokio::test]
async fn a_callers_transaction_keeps_its_settings() {
    let fixture = Fixture::start().await;
    let mut own = somebody(&fixture, "SET LOCAL lock_timeout = '7s'").await;
    Store::enqueue_in(&mut own, &[keyed("a"), NewJob { payload: json("2"), ..new_job() }]).await.expect("enqueue");
    let timeout: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut own).await.expect("show");
    assert_eq!(timeout, "7s");
    ends(own, "COMMIT").await;
    assert_eq!(fixture.live_jobs().await, 2);
}

#[tokio::test]
async fn cancel_and_revive_wait_with_a_timeout_and_do_the_rest() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let (held, free) = (fixture.queued().await, fixture.queued().await);
    let other = somebody(&fixture, &format!("SELECT FROM leasehold.job WHERE id = '{held}' FOR UPDATE")).await;
    let error = store.cancel(&[held, free]).await.expect_err("held");
    assert!(error.to_string().contains(&format!("cancelling jobs: job {held} is held by")), "{error}");
    assert!(error.to_string().contains("application an import"), "{error}");
    assert_eq!(locked(error).held.len(), 1);
    assert_eq!(fixture.record(free).await.state.as_str(), "cancelled");
    ends(other, "COMMIT").await;
    assert_eq!(store.cancel(&[held]).await.expect("cancel")[0].id, held);

    let other = somebody(&fixture, &format!("SELECT FROM leasehold.history WHERE id = '{held}' FOR UPDATE")).await;
    let error = store.revive(&[held, free]).await.expect_err("held");
    assert!(error.to_string().contains(&format!("job {held} or its unique key is held by")), "{error}");
    assert_eq!(fixture.record(free).await.state.as_str(), "queued");
    no_statement_waits(&fixture).await;
    ends(other, "COMMIT").await;
    assert_eq!(store.revive(&[held]).await.expect("revive").len(), 1);
}

#[tokio::test]
async fn pause_waits_with_a_timeout() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let queue = crate::fixture::name("q");
    assert!(store.pause(&queue).await.expect("pause"));
    let other = somebody(&fixture, "UPDATE leasehold.queue SET paused_at = NULL WHERE name = 'q'").await;
    for error in [store.pause(&queue).await.expect_err("held"), store.resume(&queue).await.expect_err("held")] {
        assert!(error.to_string().contains("queue q is held by an open transaction"), "{error}");
    }
    no_statement_waits(&fixture).await;
    ends(other, "COMMIT").await;
    assert!(store.pause(&queue).await.expect("pause"));
}

/// Other runs are settled while a key is held.
#[tokio::test]
async fn a_held_key_does_not_block_runs() {
    let fixture = Fixture::start().await;
    let other = somebody(&fixture, "SELECT leasehold.enqueue('k', '1', unique_key => 'b')").await;
    let fence = fixture.running(WorkerId::new()).await;
    fixture.settle_one(fence, Settle::Complete(None)).await;
    ends(other, "ROLLBACK").await;
}

#[tokio::test]
async fn a_change_of_the_priority_step_waits_for_a_locked_job_and_names_it() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let jobs = [1, 1, -1].map(|priority| NewJob { priority, ..new_job() });
    store.enqueue(&jobs).await.expect("enqueue");
    let lock = format!("SELECT FROM leasehold.job WHERE id = '{}' FOR UPDATE", jobs[1].id);
    let other = somebody(&fixture, &lock).await;
    let error = store.set_priority_step(&jobs[1].queue, Duration::from_secs(60)).await.expect_err("it is held");
    assert!(error.to_string().contains(&format!("job {} is held", jobs[1].id)), "{error}");
    assert_eq!(locked(error).held.len(), 1, "the other two have moved");
    let unmoved = "SELECT count(*) FROM leasehold.job WHERE line_at <> leasehold.line_at(run_at, priority, queue)";
    assert_eq!(fixture.number(unmoved).await, 1);

    let store = connect(&fixture.database, 8).await;
    let queue = jobs[1].queue.clone();
    let set = tokio::spawn(async move { store.set_priority_step(&queue, Duration::from_secs(60)).await });
    ends(other, "ROLLBACK").await;
    assert_eq!(set.await.expect("no panic").expect("it was released in time"), 1);
    assert_eq!(fixture.number(unmoved).await, 0);
}

/// A claim over HTTP is a transaction of several statements. None of them waits on while somebody has locked the table.
#[tokio::test]
async fn a_claim_over_http_gives_up_on_a_locked_table() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let id = fixture.queued().await;
    let claim = HttpClaim {
        worker: WorkerId::new(),
        queue: QueueName::default(),
        kinds: Kinds::All,
        limit: 1,
        lease: Duration::from_secs(60),
        claim_id: "c".to_owned(),
        is_named: true,
    };
    let other = somebody(&fixture, "LOCK TABLE leasehold.job").await;
    let error = store.claim_line_http(&claim).await.expect_err("the table is locked");
    assert!(error.is_transient(), "{error}");
    no_statement_waits(&fixture).await;
    ends(other, "ROLLBACK").await;
    let runs = store.claim_line_http(&claim).await.expect("a claim");
    assert_eq!(runs.iter().map(|run| run.job.fence.id).collect::<Vec<_>>(), [id]);
}
