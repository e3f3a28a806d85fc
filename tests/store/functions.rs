//! The SQL functions leasehold.enqueue and leasehold.cancel, which any language can call.

use crate::fixture::{Fixture, concurrently, retry};
use leasehold_core::{JobId, Settle, State, WorkerId};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

async fn call(connection: &mut PgConnection, query: &str) -> Result<JobId, String> {
    let answer = sqlx::query_scalar::<_, Uuid>(AssertSqlSafe(query.to_owned())).fetch_one(connection).await;
    answer
        .map(JobId)
        .map_err(|error| error.as_database_error().map_or(error.to_string(), |error| error.message().to_owned()))
}

#[tokio::test]
async fn enqueue_takes_text_json_and_jsonb() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    for (payload, kept) in [
        (r#"'{"b": 1,  "a": 2}'"#, r#"{"b": 1,  "a": 2}"#),
        (r#"'{"b": 1,  "a": 2}'::text"#, r#"{"b": 1,  "a": 2}"#),
        (r#"'{"b": 1,  "a": 2}'::json"#, r#"{"b": 1,  "a": 2}"#),
        (r#"'{"b": 1,  "a": 2}'::jsonb"#, r#"{"a": 2, "b": 1}"#),
        ("json_build_object('a', 1)", r#"{"a" : 1}"#),
        ("jsonb_build_object('a', 1)", r#"{"a": 1}"#),
        ("'null'", "null"),
    ] {
        let id = call(&mut connection, &format!("SELECT leasehold.enqueue('k', {payload})")).await.expect(payload);
        let record = fixture.record(id).await;
        assert_eq!((record.payload.get(), record.state), (kept, State::Queued), "{payload}");
        assert_eq!((record.queue.as_str(), record.priority, record.max_attempts), ("default", 0, 5));
        assert_eq!((id.0.get_version_num(), record.created_at), (7, record.run_at));
    }
}

#[tokio::test]
async fn enqueue_takes_every_option_by_name() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let query = "SELECT leasehold.enqueue('k', '{}', queue => 'q', priority => 7, run_at => now() + interval '1 hour',
        max_attempts => 2, unique_key => 'u', timeout => interval '90 seconds', limit_key => 'l',
        depends_on => NULL, id => '01890000-0000-7000-8000-000000000001')";
    let id = call(&mut connection, query).await.expect("enqueue");
    assert_eq!(call(&mut connection, query).await.expect("enqueue"), id, "the same job must be answered");
    let record = fixture.record(id).await;
    assert_eq!((record.queue.as_str(), record.priority, record.max_attempts), ("q", 7, 2));
    assert_eq!((record.state, record.timeout_ms), (State::Scheduled, Some(90_000)));
    assert_eq!((record.unique_key.as_deref(), record.limit_key.as_deref()), (Some("u"), Some("l")));
    let other = call(&mut connection, "SELECT leasehold.enqueue('k', '{}', unique_key => 'u')").await.expect("enqueue");
    assert_eq!(other, id, "the job with this key must be answered");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.jobs").await, 1);
}

#[tokio::test]
async fn enqueue_refuses_each_bad_input_by_name() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let long = format!("'{}'", "x".repeat(300));
    let huge = "to_json(repeat('x', 1048577))".to_owned();
    for (arguments, told) in [
        ("'', '{}'".to_owned(), "kind '' is no name"),
        (format!("{long}, '{{}}'"), "is no name"),
        ("'a b', '{}'".to_owned(), "kind 'a b' is no name"),
        ("NULL, '{}'".to_owned(), "kind NULL is no name"),
        ("'k', '{}', queue => 'a{b}'".to_owned(), "queue 'a{b}' is no name"),
        ("'k', '{}', queue => E'a\\n'".to_owned(), "is no name"),
        ("'k', '{'".to_owned(), "invalid input syntax for type json"),
        ("'k', NULL".to_owned(), "payload is NULL"),
        (format!("'k', {huge}"), "payload is 1048579 bytes long; at most 1048576 are allowed"),
        ("'k', '{}', priority => 101".to_owned(), "priority is 101; it must be from -100 to 100"),
        ("'k', '{}', priority => 100000".to_owned(), "priority is 100000; it must be from -100 to 100"),
        ("'k', '{}', priority => NULL".to_owned(), "priority is NULL; it must be from -100 to 100"),
        ("'k', '{}', max_attempts => 0".to_owned(), "max_attempts is 0; it must be from 1 to 10000"),
        ("'k', '{}', max_attempts => 10001".to_owned(), "max_attempts is 10001; it must be from 1 to 10000"),
        ("'k', '{}', run_at => '1969-12-31'".to_owned(), "it must be a time after 1970"),
        ("'k', '{}', run_at => 'infinity'".to_owned(), "it must be a time after 1970"),
        ("'k', '{}', run_at => '290000-01-01'".to_owned(), "before the year 10000"),
        ("'k', '{}', run_at => '4713-01-01 BC'".to_owned(), "it must be a time after 1970"),
        ("'k', '{}', timeout => interval '178000000 years'".to_owned(), "at most 24 days"),
        ("'k', '{}', timeout => interval '10 years -3590 days'".to_owned(), "at most 24 days"),
        ("'k', '{}', timeout => interval '0.9 milliseconds'".to_owned(), "more than nothing"),
        ("'k', (repeat('[', 101) || repeat(']', 101))".to_owned(), "payload is nested too deeply"),
        ("'k', '{}', run_at => 'soon'".to_owned(), "invalid input syntax for type timestamp with time zone"),
        ("'k', '{}', timeout => interval '0'".to_owned(), "it must be more than nothing and at most 24 days"),
        ("'k', '{}', timeout => interval '-1 second'".to_owned(), "it must be more than nothing and at most 24 days"),
        ("'k', '{}', timeout => interval '25 days'".to_owned(), "it must be more than nothing and at most 24 days"),
        ("'k', '{}', unique_key => ''".to_owned(), "unique_key is 0 bytes long; it must be from 1 to 512"),
        (
            "'k', '{}', limit_key => repeat('x', 513)".to_owned(),
            "limit_key is 513 bytes long; it must be from 1 to 512",
        ),
        ("'k', '{}', depends_on => ARRAY[gen_random_uuid()]".to_owned(), "and no job has this id"),
    ] {
        let refused = call(&mut connection, &format!("SELECT leasehold.enqueue({arguments})")).await;
        let error = refused.expect_err(&arguments);
        assert!(error.contains(told), "{}: {error}", &arguments[..arguments.len().min(80)]);
    }
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.jobs").await, 0);
}

#[tokio::test]
async fn enqueue_belongs_to_the_callers_transaction() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let mut count = async |end: &'static str| {
        let script = format!("BEGIN; SELECT leasehold.enqueue('k', '{{}}'); {end}");
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.expect("a transaction");
        fixture.number("SELECT count(*) FROM leasehold.jobs").await
    };
    assert_eq!(count("ROLLBACK").await, 0);
    assert_eq!(count("COMMIT").await, 1);
}

#[tokio::test]
async fn fifty_concurrent_enqueues_make_one_job() {
    let fixture = Fixture::with_connections(50).await;
    for option in ["id => '01890000-0000-7000-8000-000000000002'", "unique_key => 'u'"] {
        let query = format!("SELECT leasehold.enqueue('k', '{{}}', {option})");
        let calls = (0..50).map(|_| async {
            sqlx::query_scalar::<_, Uuid>(AssertSqlSafe(query.clone()))
                .fetch_one(fixture.pool())
                .await
                .expect("no error")
        });
        let ids = concurrently(calls).await;
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.jobs").await, 2);
}

#[tokio::test]
async fn cancel_answers_the_state_after_the_call() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (queued, running, scheduled, done) = (
        fixture.queued().await,
        fixture.running(worker).await,
        fixture.running(worker).await,
        fixture.running(worker).await,
    );
    fixture.settle_one(scheduled, retry()).await;
    fixture.settle_one(done, Settle::Complete(None)).await;
    for (id, state) in [
        (queued, "cancelled"),
        (running.id, "running"),
        (scheduled.id, "cancelled"),
        (done.id, "succeeded"),
        (queued, "cancelled"),
    ] {
        let query = AssertSqlSafe(format!("SELECT leasehold.cancel('{id}')"));
        let answer: String = sqlx::query_scalar(query).fetch_one(fixture.pool()).await.expect("cancel");
        assert_eq!(answer, state);
    }
    assert!(fixture.record(running.id).await.cancel_requested_at.is_some());
    let error =
        call(&mut fixture.connection().await, "SELECT leasehold.cancel('01890000-0000-7000-8000-000000000003')").await;
    assert_eq!(
        error.expect_err("no such job"),
        "leasehold.cancel: no job has the id 01890000-0000-7000-8000-000000000003"
    );
}
