//! Stores that are unavailable, silent, or cut off in the middle of a call.

use crate::typed::{Told, config};
use leasehold::{Client, Config, Error, JobId, State};
use leasehold_tests::Stores;
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_accepted_without_redis() {
    let stores = Stores::start().await;
    let refused = Config::new(&stores.database.url, "redis://127.0.0.1:1");
    let mut unset = refused.clone();
    unset.redis.url = None;
    for config in [refused, unset] {
        let client = Client::connect(&config).await.expect("connected");
        let id = client.enqueue(Told::Fail).queue("q").send().await.expect("accepted");
        assert_eq!(client.job(id).await.expect("asked").map(|job| job.state), Some(State::Queued));
        assert_eq!(client.cancel(&[id.get()]).await.expect("cancelled")[0].state, State::Cancelled);
    }
}

/// A Redis that accepts connections and never answers. This is worse than a Redis that is not running.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_redis_delays_one_call_a_little_and_the_next_ones_not_at_all() {
    let stores = Stores::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", silent.local_addr().expect("its address"));
    let client = Client::connect(&Config::new(&stores.database.url, &url)).await.expect("connected");
    let begun = Instant::now();
    for _ in 0..100 {
        client.enqueue(Told::Fail).queue("q").send().await.expect("accepted");
    }
    // Without the pause after a failure, a hundred calls would wait 250 ms each: 25 s.
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_are_sent_again_when_redis_is_available_again() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let mut redis = stores.redis.connect().await;
    // Longer than the patience of the client, and shorter than its pause after a failure.
    redis::cmd("CLIENT").arg("PAUSE").arg(400).query_async::<()>(&mut redis).await.expect("CLIENT PAUSE");
    client.enqueue(Told::Fail).queue("q").send().await.expect("accepted while Redis is silent");
    leasehold_tests::eventually("a hint is in Redis", Duration::from_secs(20), || async {
        let id = client.enqueue(Told::Fail).queue("q").send().await.expect("accepted");
        let keys = leasehold_tests::all_keys(&mut stores.redis.connect().await).await;
        if format!("{keys:?}").contains(&id.to_string()) { Ok(()) } else { Err(keys) }
    })
    .await;
}

/// The server is killed while jobs are enqueued. Every call either succeeds, or fails with an error that says whether
/// the jobs may exist. No accepted job is lost, and no job exists twice.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_in_the_middle_make_no_job_twice() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let database = stores.database.url.rsplit('/').next().expect("a name").to_owned();
    let cutting = tokio::spawn({
        let mut postgres = stores.database.connect().await;
        async move {
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = $1 AND application_name = 'leasehold client'";
            for _ in 0..30 {
                sqlx::query(cut).bind(&database).execute(&mut postgres).await.expect("cutting connections");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let mut accepted: Vec<JobId> = Vec::new();
    let mut unknown: Vec<JobId> = Vec::new();
    let mut resent = 0;
    while !cutting.is_finished() {
        let jobs: Vec<_> = (0..50).map(|_| client.enqueue(Told::Fail).queue("q").build().expect("valid")).collect();
        match client.enqueue_many(&jobs).await {
            Ok(answers) => {
                resent += answers.iter().filter(|answer| !answer.inserted).count();
                accepted.extend(answers.iter().map(|answer| answer.id));
            }
            Err(Error::OutcomeUnknown { ids, .. }) => unknown.extend(ids),
            Err(other) => panic!("{other}"),
        }
    }
    cutting.await.expect("cutting");
    let rows: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM leasehold.jobs")
        .fetch_all(&mut stores.database.connect().await)
        .await
        .expect("rows");
    let there: std::collections::HashSet<JobId> = rows.iter().copied().map(JobId).collect();
    assert_eq!(there.len(), rows.len(), "a job is there twice");
    assert!(accepted.iter().all(|id| there.contains(id)), "an accepted job is lost");
    let stray = there.iter().filter(|id| !accepted.contains(id) && !unknown.contains(id)).count();
    assert_eq!(stray, 0, "jobs that nobody was told of; {resent} were found on the second try");
    assert!(!accepted.is_empty());
}

/// A batch of new jobs and of jobs that are sent again is two statements. If the second statement fails, the first one
/// has still written its jobs, and no caller may be told that they were refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_accepted_in_part_is_not_called_refused() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let disk_full = "CREATE OR REPLACE FUNCTION leasehold.enqueue_checked(
            _id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint,
            _run_at timestamptz, _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text,
            _limit_key text, OUT id uuid, OUT inserted boolean, OUT state text
        ) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$";
    sqlx::raw_sql(disk_full).execute(&mut stores.database.connect().await).await.expect("a disk that is full");

    let new = client.enqueue(Told::Fail).build().expect("valid");
    let resent = client.enqueue(Told::Fail).id(JobId::new()).build().expect("valid");
    let batch = [new, resent];
    let error = client.store().enqueue(&batch).await.expect_err("the second statement fails");
    assert!(error.to_string().starts_with("1 of the jobs that were sent together were accepted, "), "{error}");
    let again = batch.each_ref().map(|job| leasehold::NewJob { id: JobId::new(), ..job.clone() });
    match client.enqueue_many(&again).await {
        Err(Error::OutcomeUnknown { ids, .. }) => assert_eq!(ids, again.each_ref().map(|job| job.id)),
        other => panic!("{other:?}"),
    }
    assert!(client.job(again[0].id).await.expect("reading").is_some(), "it was accepted");
}
