//! A queue that takes encrypted payloads: what it refuses, what still works as before, and that no other queue pays
//! for it.

use crate::{
    encryption::{K1, SECRET, claim_first, secret_job, settle},
    fixture::{Fixture, json, name, new_job},
    schedules::{ago, due, fire, fire_one, fired, hourly},
};
use leasehold_core::{
    Encryption, NewJob, NewSchedule, OnConflict, PLAIN_MAX_BYTES, Settle, Settled, State, Success, Unique,
};
use leasehold_encryption::Encrypted;
use leasehold_store::Error;
use sqlx::AssertSqlSafe;

fn wrong(error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.contains(SECRET), "{text}");
    text
}

#[tokio::test]
async fn sql_is_refused_and_nothing_is_written() {
    let fixture = Fixture::encrypting().await;
    let other = Unique { on_conflict: OnConflict::Replace, ..Unique::default() };
    let waiting = NewJob { unique_key: Some("u".into()), unique: Some(other), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&waiting)).await.expect("a job of another queue");
    let refused = async |sql: &str| {
        let error = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(fixture.pool()).await.expect_err(sql);
        let error = error.into_database_error().expect("an error of the server");
        assert_eq!(
            error.message(),
            "queue secret takes encrypted payloads, and this one is not encrypted: SQL cannot encrypt; use the Rust client, the \
             command line or HTTP, with the setting encryption.keys",
            "{sql}"
        );
    };
    let plain = r#"{"kind": "k", "queue": "secret", "payload": {"card": 1}}"#;
    refused(r#"SELECT leasehold.enqueue('k', '{"card": 1}', queue => 'secret')"#).await;
    refused(&format!("SELECT leasehold.enqueue_many('[{plain}]')")).await;
    refused(&format!("SELECT leasehold.enqueue_many('[{{\"kind\": \"k\"}}, {plain}]')")).await;
    let named = plain.replacen('{', r#"{"name": "a", "#, 1);
    refused(&format!(r#"SELECT leasehold.enqueue_graph('{{"jobs": [{named}]}}')"#)).await;
    refused(
        r#"SELECT leasehold.enqueue('k', '1', queue => 'secret', unique_key => 'u', "unique" => '{"on_conflict": "replace"}')"#,
    )
    .await;
    refused(
        "INSERT INTO leasehold.schedule (name, every_ms, missed_limit, queue, kind, payload, next_at)
         VALUES ('s', 1000, 1, 'secret', 'k', '1', now())",
    )
    .await;
    assert_eq!(fixture.live_jobs().await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.schedule").await, 0);
    assert_eq!(fixture.record(waiting.id).await.queue, "default", "the job that waits is as before");

    // A program of Leasehold without keys hears the same.
    let without = fixture.beside("").await;
    let job = secret_job();
    for error in [
        without.enqueue(std::slice::from_ref(&job)).await.expect_err("plain words"),
        without.enqueue(&[NewJob { batch: Some("b".into()), ..job.clone() }]).await.expect_err("rare words"),
        without.enqueue_graph(std::slice::from_ref(&job)).await.expect_err("a graph"),
        without.enqueue_once(std::slice::from_ref(&job), None).await.expect_err("one transaction"),
    ] {
        assert!(wrong(&error).contains("queue secret takes encrypted payloads"), "{error}");
        assert!(error.refused_value().is_some() && !error.is_transient(), "{error:?}");
    }
    assert_eq!(fixture.live_jobs().await, 1);
    // Other queues take SQL as before.
    fixture.sql("SELECT leasehold.enqueue('k', '1')").await;
}

#[tokio::test]
async fn what_waits_when_a_queue_changes_goes_on_as_it_is() {
    let fixture = Fixture::start().await;
    let (with_key, queue) = (fixture.beside(K1).await, name("secret"));
    let schedule = NewSchedule { job: NewJob { payload: json("2"), ..secret_job() }, ..hourly("s") };
    fixture.set_schedule(&schedule, ago(90)).await;
    let plain = NewJob { payload: json("1"), ..secret_job() };
    with_key.enqueue(std::slice::from_ref(&plain)).await.expect("enqueue");
    with_key.set_queue_encrypted(&queue, true).await.expect("on");
    assert!(with_key.queue_settings(&queue).await.expect("settings").encrypted);
    assert!(with_key.stats().await.expect("stats").iter().all(|stats| stats.encrypted == (stats.queue == "secret")));

    // This process believes for some seconds that the queue takes plain payloads. PostgreSQL tells it better.
    let encrypted = secret_job();
    with_key.enqueue(std::slice::from_ref(&encrypted)).await.expect("the process learns of the queue");
    assert_eq!(fixture.encrypted_rows("job", "payload").await, 1);

    let run = claim_first(&with_key, "secret").await;
    assert_eq!((run.fence.id, run.payload.get(), run.encryption), (plain.id, "1", Encryption::Plain));
    assert_eq!(settle(&with_key, run.fence, Settle::Complete(Some(json("1")))).await, Settled::Done);
    with_key.revive(&[plain.id]).await.expect("it can be revived");
    let fire = fire(&due(&fixture).await[0]);
    let tick = fired(fire_one(&fixture, &fire).await)[0].id;
    assert_eq!(fixture.record(tick).await.payload.get(), "2", "a schedule goes on");

    // The callback of a batch is made by a reaper, in SQL.
    fixture.enqueue(&[NewJob { batch: Some("b".into()), ..new_job() }]).await.expect("enqueue");
    fixture.sql("SELECT leasehold.seal_batch('b', on_complete => 'done', queue => 'secret')").await;
    let run = claim_first(&fixture, "default").await;
    assert_eq!(settle(&fixture, run.fence, Settle::Complete(None)).await, Settled::Done);
    assert_eq!(fixture.end_batches(10).await.expect("the batch ends").len(), 1);

    with_key.set_queue_encrypted(&queue, false).await.expect("off");
    assert_eq!(fixture.triggers().await, 0);
    let mut payloads = Vec::new();
    for _ in 0..4 {
        let run = claim_first(&with_key, "secret").await;
        payloads.push((run.fence.id == encrypted.id, run.encryption == Encryption::Decrypted));
        assert_eq!(settle(&with_key, run.fence, Settle::Complete(None)).await, Settled::Done);
    }
    assert!(payloads.iter().all(|(is_it, is_decrypted)| is_it == is_decrypted), "{payloads:?}");
    assert!(payloads.iter().any(|(is_it, _)| *is_it), "{payloads:?}");
}

#[tokio::test]
async fn without_such_a_queue_there_is_no_trigger() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.triggers().await, 0);
    fixture.set_queue_encrypted(&name("a"), false).await.expect("off");
    assert_eq!(fixture.triggers().await, 0);
    for (queue, encrypted, triggers) in [("a", true, 4), ("b", true, 4), ("a", false, 4), ("b", false, 0)] {
        fixture.set_queue_encrypted(&name(queue), encrypted).await.expect("setting a queue");
        assert_eq!(fixture.triggers().await, triggers, "{queue} {encrypted}");
    }
    let error = fixture.set_queue_encrypted(&name("leasehold.webhooks"), true).await.expect_err("made in SQL");
    assert!(error.to_string().contains("belongs to Leasehold itself"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_encrypted_is_refused_by_name() {
    let fixture = Fixture::encrypting().await;
    let of = |fields: &str| -> Unique { serde_json::from_str(fields).expect("unique") };
    let longest = format!("\"{}\"", "x".repeat(PLAIN_MAX_BYTES - 2));
    for (job, told) in [
        (
            NewJob { payload: json(&longest.replace("\"x", "\"xx")), ..secret_job() },
            "payload is 786001 bytes long; at most 786000 are allowed, because it is encrypted",
        ),
        (
            NewJob { unique: Some(of(r#"{"fields": ["card"]}"#)), ..secret_job() },
            "unique cannot make a key of the payload: queue secret takes encrypted payloads; give a unique_key",
        ),
        (
            NewJob { unique_key: Some("u".into()), unique: Some(of(r#"{"on_conflict": "replace"}"#)), ..secret_job() },
            "unique.on_conflict must be skip: queue secret takes encrypted payloads",
        ),
        (
            NewJob { payload: json(r#"{"$encrypted":{"v":1}}"#), ..new_job() },
            r#"payload begins with {"$encrypted":, which is reserved for encrypted payloads"#,
        ),
    ] {
        let error = fixture.enqueue(std::slice::from_ref(&job)).await.expect_err(told);
        assert!(matches!(error, Error::Invalid(_)) && wrong(&error).starts_with(told), "{error}");
    }
    let job = NewJob { payload: json(&longest), ..secret_job() };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("the longest payload");
    assert_eq!(fixture.record(job.id).await.payload.get(), longest);
    assert_eq!(fixture.live_jobs().await, 1);
    // A follow-on job that cannot be encrypted ends the job, as any invalid one.
    let run = claim_first(&fixture, "secret").await;
    let follows = NewJob { unique: Some(of(r#"{"payload": true}"#)), ..secret_job() };
    let success = Success { result: None, then: vec![follows] };
    assert_eq!(settle(&fixture, run.fence, Settle::CompleteThen(Box::new(success))).await, Settled::Done);
    let dead = fixture.record(run.fence.id).await;
    assert!(
        dead.last_error.is_some_and(|error| error.contains("a follow-on job cannot be stored: unique cannot make"))
    );
}

#[tokio::test]
async fn a_follow_on_job_for_a_queue_that_has_just_changed_is_encrypted() {
    let fixture = Fixture::start().await;
    let store = fixture.beside(K1).await;
    store.enqueue(&[new_job()]).await.expect("a job, and the queues as they are now");
    let run = claim_first(&store, "default").await;
    fixture.set_queue_encrypted(&name("secret"), true).await.expect("on");
    let follows = secret_job();
    let success = Success { result: None, then: vec![follows.clone()] };
    assert_eq!(settle(&store, run.fence, Settle::CompleteThen(Box::new(success))).await, Settled::Done);
    assert_eq!(fixture.record(run.fence.id).await.state, State::Succeeded);
    assert_eq!(fixture.encrypted_rows("job", "payload").await, 1);
    let stored: String = sqlx::query_scalar("SELECT payload::text FROM leasehold.job WHERE id = $1")
        .bind(follows.id.0)
        .fetch_one(fixture.pool())
        .await
        .expect("the row");
    assert_eq!(Encrypted::owner_of(&stored), Some(leasehold_encryption::Owner::Job(follows.id)));
}
