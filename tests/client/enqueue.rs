//! Enqueue: the options of a job, the caller's own transaction, ids that are sent twice.

use crate::typed::{Told, config};
use leasehold::{Client, Error, Job, JobId, State};
use leasehold_tests::{Key, Stores, all_keys};
use sqlx::Connection;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn every_option_reaches_the_job() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let mut postgres = stores.database.connect().await;
    let webhook = "INSERT INTO leasehold.webhook (id, url, queue, kinds, states)
                   VALUES ('crm', 'https://example.com', 'elsewhere', '{}', '{dead}')";
    sqlx::raw_sql(webhook).execute(&mut postgres).await.expect("a webhook");
    let id = JobId::new();
    let sent = client
        .enqueue(Told::Add(1, 2))
        .queue("q")
        .priority(-3)
        .delay(Duration::from_secs(3600))
        .unique_key("u")
        .max_attempts(7)
        .timeout(Duration::from_millis(1500))
        .webhook("crm")
        .id(id)
        .send()
        .await
        .expect("accepted");
    assert_eq!(sent.get(), id);
    let job = client.job(id).await.expect("asked").expect("there");
    assert_eq!((&*job.queue, &*job.kind, job.priority, job.state), ("q", Told::KIND, -3, State::Scheduled));
    assert_eq!((job.unique_key.as_deref(), job.max_attempts, job.timeout_ms), (Some("u"), 7, Some(1500)));
    assert_eq!(job.payload.get(), r#"{"Add":[1,2]}"#);
    assert_eq!(job.webhook.as_deref(), Some("crm"));
    let error = client.enqueue(Told::Fail).webhook("nobody").send().await.expect_err("refused");
    assert!(error.to_string().contains("webhook is 'nobody', and there is no webhook of this id"), "{error}");
    let hours = (job.run_at - job.created_at).num_minutes();
    assert!((59..=60).contains(&hours), "{hours} minutes");

    let other = client.enqueue(Told::Fail).unique_key("u").send().await.expect("answered");
    assert_eq!(other.get(), id, "the job that holds the key is the answer");
    let again = client.enqueue(Told::Add(1, 2)).id(id).send().await.expect("answered");
    assert_eq!(again.get(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_job_is_refused_with_every_field_and_nothing_is_changed() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let error = client.enqueue(Told::Fail).priority(101).max_attempts(0).send().await.expect_err("refused");
    assert_eq!(
        error.to_string(),
        "priority is 101; it must be from -100 to 100; max_attempts is 0; it must be from 1 to 10000"
    );
    let error = client.enqueue(Told::Fail).queue("a b").priority(1).send().await.expect_err("refused");
    assert!(error.to_string().starts_with("queue \"a b\" has ' ' at byte 1"), "{error}");
    let good = client.enqueue(Told::Fail).build().expect("valid");
    let bad = leasehold::NewJob { priority: 101, ..good.clone() };
    let refused = client.enqueue_many(&[good, bad]).await.expect_err("one of two is invalid");
    assert!(refused.to_string().starts_with("job 2 of 2: priority is "), "{refused}");
    let all =
        client.store().jobs(&leasehold_store::JobFilter { limit: 10, ..Default::default() }).await.expect("asked");
    assert!(all.is_empty(), "{all:?}");
    assert!(matches!(client.wait_finished(JobId::new(), Duration::ZERO).await, Err(Error::NoSuchJob(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_a_transaction_exists_if_and_only_if_it_commits() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let mut postgres = stores.database.connect().await;
    let mut ids = Vec::new();
    for commit in [true, false] {
        let mut transaction = postgres.begin().await.expect("begun");
        let id = client.enqueue(Told::Fail).queue("q").send_in(&mut transaction).await.expect("sent");
        assert!(client.job(id).await.expect("asked").is_none(), "seen before the commit");
        if commit {
            transaction.commit().await.expect("committed");
        } else {
            transaction.rollback().await.expect("rolled back");
        }
        ids.push(id);
    }
    assert_eq!(client.job(ids[0]).await.expect("asked").map(|job| job.state), Some(State::Queued));
    assert!(client.job(ids[1]).await.expect("asked").is_none());
    // The client does not tell Redis about a commit of the caller: the fill of the head finds the job.
    let keys = all_keys(&mut stores.redis.connect().await).await;
    assert!(!keys.keys().any(|key| key.contains("{q}")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_stand_in_the_order_of_the_calls_and_urgent_ones_first() {
    let stores = Stores::start().await;
    let client = Client::connect(&config(&stores)).await.expect("connected");
    let mut ids = Vec::new();
    for priority in [0, 0, 1, 0] {
        ids.push(client.enqueue(Told::Fail).queue("q").priority(priority).send().await.expect("accepted").to_string());
    }
    client.enqueue(Told::Fail).queue("q").delay(Duration::from_secs(60)).send().await.expect("accepted");
    let keys = all_keys(&mut stores.redis.connect().await).await;
    let wanted = [2, 0, 1, 3].map(|nth: usize| ids[nth].clone()).to_vec();
    assert_eq!(keys["leasehold:{q}:ready"], Key::List(wanted));
}
