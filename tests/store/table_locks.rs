//! Somebody locks a whole table: a command that reads says who, instead of waiting with everybody else.

use crate::fixture::Fixture;
use leasehold_store::JobFilter;

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
