//! Somebody locks a whole table: a command that reads says who, instead of waiting with everybody else.

use crate::{fixture::Fixture, sessions_of_users::Session};
use leasehold_store::JobFilter;
use leasehold_tests::eventually;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn commands_that_read_name_the_session_that_locks_a_table() {
    let fixture = Fixture::start().await;
    let id = fixture.queued().await;
    let mut somebody = fixture.connection().await;
    sqlx::raw_sql("SET application_name = 'nightly report'; BEGIN; LOCK TABLE leasehold.job")
        .execute(&mut somebody)
        .await
        .expect("a lock");
    let filter = JobFilter { limit: 1, ..JobFilter::default() };
    let (stats, jobs, violations, job) =
        tokio::join!(fixture.stats(), fixture.jobs(&filter), fixture.violations(), fixture.job(id));
    for error in [
        stats.expect_err("stats").to_string(),
        jobs.expect_err("jobs").to_string(),
        violations.expect_err("violations").to_string(),
        job.expect_err("a job").to_string(),
    ] {
        assert!(error.contains("the table leasehold.job is locked by an open transaction"), "{error}");
        assert!(error.contains("application nightly report"), "{error}");
    }
}

/// A change of the schema waits for an open transaction that only reads, and everybody else waits behind it: the cause is named.
#[tokio::test]
async fn a_session_that_waits_for_its_lock_says_for_whom() {
    let fixture = Fixture::start().await;
    let (mut report, mut change) = (Session::of(&fixture).await, Session::of(&fixture).await);
    report.says("BEGIN; SELECT FROM leasehold.job").await;
    let (report_pid, change_pid) = (report.pid().await, change.pid().await);
    let wanted = format!("pid {change_pid}, application ?, waits for pid {report_pid}, ");
    let changing = change.asks("SET application_name = ''; BEGIN; LOCK TABLE leasehold.job");
    let look = eventually("the change waits", SOON, async || {
        let locks = fixture.table_locks().await;
        if locks.iter().any(|lock| lock.to_string().contains(&wanted)) { Ok(()) } else { Err(locks) }
    });
    tokio::select! {
        () = look => {}
        changed = changing => panic!("the lock did not wait: {changed:?}"),
    }
}
