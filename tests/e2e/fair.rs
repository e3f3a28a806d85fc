//! Fair shares on a fleet: one tenant has nine tenths of the jobs, and the others are not delayed by it.

use crate::fleet::{Fleet, TIMEOUT};
use chrono::{DateTime, Utc};
use leasehold::{NewJob, QueueName};
use leasehold_tests::{Step, eventually, read_log};
use sqlx::PgConnection;
use std::{collections::BTreeMap, time::Duration};

const TENANTS: usize = 200;
const JOBS: usize = 20_000;
const BIG: &str = "tenant0";
/// Of each small tenant.
const SMALL: usize = JOBS / 10 / (TENANTS - 1);

fn job(fleet: &Fleet, key: &str, ms: u64) -> NewJob {
    let job = fleet.client.enqueue(fleet.probe(ms)).fair_key(key).build();
    job.expect("a job")
}

/// Enqueues the jobs of one big tenant, then the jobs of the small tenants. The queue is paused in the meantime, so that all
/// tenants have jobs when it starts.
async fn enqueue(fleet: &Fleet) {
    let queue = QueueName::default();
    fleet.client.pause(&queue).await.expect("pausing");
    let big = JOBS - SMALL * (TENANTS - 1);
    let mut jobs: Vec<NewJob> = (0..big).map(|_| job(fleet, BIG, 1)).collect();
    jobs.extend((0..SMALL * (TENANTS - 1)).map(|nth| job(fleet, &format!("tenant{}", 1 + nth % (TENANTS - 1)), 1)));
    for batch in jobs.chunks(1_000) {
        fleet.client.enqueue_many(batch).await.expect("enqueueing");
    }
    fleet.client.resume(&queue).await.expect("resuming");
}

/// Jain's index of what each tenant got until the first of them had begun all its jobs: 1 if all got the same, 1 / tenants if one got
/// all.
async fn index(fleet: &Fleet) -> f64 {
    let query = "SELECT fair_key, count(*) FROM leasehold.jobs WHERE started_at < (
                     SELECT min(last) FROM (SELECT max(started_at) AS last FROM leasehold.jobs GROUP BY fair_key
                                            HAVING bool_and(started_at IS NOT NULL)) ends)
                 GROUP BY fair_key";
    let mut database = fleet.stores.database.connect().await;
    let got: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(&mut database).await.expect("counts");
    let got: BTreeMap<String, i64> = got.into_iter().collect();
    let (sum, squares) =
        got.values().fold((0.0, 0.0), |(sum, squares), &jobs| (sum + jobs as f64, squares + (jobs * jobs) as f64));
    println!("until then {sum} jobs had begun, {:?} of the big tenant", got.get(BIG));
    assert!(sum > 1_000.0, "all must have had work for a while");
    sum * sum / (TENANTS as f64 * squares)
}

/// Waits until all jobs of the small tenants have begun.
async fn until_small_ones_have_begun(fleet: &Fleet) {
    let query = "SELECT count(*) FROM leasehold.job WHERE fair_key <> 'tenant0' AND state = 'queued'";
    let mut database = fleet.stores.database.connect().await;
    eventually("the jobs of the small tenants have begun", TIMEOUT, async || {
        let left: i64 = sqlx::query_scalar(query).fetch_one(&mut database).await.expect("a count");
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenant_with_most_of_the_jobs_does_not_delay_the_others() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    fleet.start_probe_workers(2, 50).await;
    enqueue(&fleet).await;
    until_small_ones_have_begun(&fleet).await;
    let index = index(&fleet).await;
    println!("Jain's index: {index:.4}");
    assert!(index >= 0.95, "{index}");
}

/// The jobs take so long that a worker prefetches none: each job that begins has just been chosen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_job_of_a_new_tenant_begins_within_one_round() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    let jobs: Vec<NewJob> = (0..5_000).map(|nth| job(&fleet, &format!("tenant{}", nth % 5), 110)).collect();
    for batch in jobs.chunks(1_000) {
        fleet.client.enqueue_many(batch).await.expect("enqueueing");
    }
    fleet.start_probe_workers(2, 10).await;
    let mut new = Vec::new();
    for nth in 0..9 {
        let job = job(&fleet, &format!("new{nth}"), 110);
        fleet.client.enqueue_many(std::slice::from_ref(&job)).await.expect("enqueueing");
        let begun = || read_log(&fleet.log()).iter().any(|line| line.step == Step::Start && line.id == job.id.0);
        eventually("the job of the new tenant begins", TIMEOUT, async || if begun() { Ok(()) } else { Err(()) }).await;
        new.push(job.id.0);
    }
    let query = "SELECT (extract(epoch FROM n.started_at - n.created_at) * 1000)::float8,
                        (SELECT count(*) FROM leasehold.jobs o WHERE o.started_at BETWEEN n.created_at AND n.started_at)
                 FROM leasehold.jobs n WHERE n.id = ANY ($1) ORDER BY n.created_at";
    let mut database = fleet.stores.database.connect().await;
    let waited: Vec<(f64, i64)> = sqlx::query_as(query).bind(&new).fetch_all(&mut database).await.expect("times");
    println!("ms until the first job of a new tenant began, and the jobs that began meanwhile: {waited:?}");
    let mut meanwhile: Vec<i64> = waited.iter().map(|(_, jobs)| *jobs).collect();
    meanwhile.sort_unstable();
    // Five keys wait. Slots that are free at the same moment take their jobs together.
    assert!(meanwhile[4] <= 26, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_fair_without_redis_too() {
    let mut fleet = Fleet::start_without_redis(Duration::from_secs(30)).await;
    for _ in 0..2 {
        fleet.start_probe_worker(50, None);
    }
    enqueue(&fleet).await;
    until_small_ones_have_begun(&fleet).await;
    let index = index(&fleet).await;
    println!("Jain's index: {index:.4}");
    assert!(index >= 0.95, "{index}");
}

/// No job of a paused key is claimed after the answer to the pause, and its jobs start again immediately after a resume.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_key_starts_nothing_after_the_answer() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    fleet.start_probe_workers(2, 10).await;
    let queue = QueueName::default();
    // Work for 18 seconds, also if enqueueing it takes long: neither key runs out of jobs before the end of the test.
    fleet.client.pause(&queue).await.expect("pausing");
    let jobs: Vec<NewJob> = (0..6_000).map(|nth| job(&fleet, if nth % 2 == 0 { "a" } else { "b" }, 60)).collect();
    for batch in jobs.chunks(1_000) {
        fleet.client.enqueue_many(batch).await.expect("enqueueing");
    }
    fleet.client.resume(&queue).await.expect("resuming");
    let mut database = fleet.stores.database.connect().await;
    for _ in 0..3 {
        claimed_since(&mut database, "a", 1).await;
        assert!(fleet.client.pause_fair_key(&queue, "a").await.expect("pausing"));
        let answered = now(&mut database).await;
        let until = claimed_since(&mut database, "b", 100).await;
        let late: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM leasehold.jobs WHERE fair_key = 'a' AND started_at BETWEEN $1 AND $2",
        )
        .bind(answered)
        .bind(until)
        .fetch_one(&mut database)
        .await
        .expect("a count");
        assert_eq!(late, 0, "jobs of the key were claimed after the pause");
        assert!(fleet.client.resume_fair_key(&queue, "a").await.expect("resuming"));
    }
    claimed_since(&mut database, "a", 1).await;
}

/// Waits until so many jobs of a fair key have been claimed from now on. Returns the time then.
async fn claimed_since(database: &mut PgConnection, key: &str, count: i64) -> DateTime<Utc> {
    let since = now(database).await;
    let claimed = "SELECT count(*) FROM leasehold.jobs WHERE fair_key = $1 AND started_at > $2";
    eventually("jobs of a key are claimed", TIMEOUT, async || {
        let claimed: i64 =
            sqlx::query_scalar(claimed).bind(key).bind(since).fetch_one(&mut *database).await.expect("a count");
        if claimed >= count { Ok(()) } else { Err(claimed) }
    })
    .await;
    now(database).await
}

/// The clock of PostgreSQL, which also sets `started_at`.
async fn now(database: &mut PgConnection) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(database).await.expect("the time")
}
