//! The SQL functions leasehold.enqueue and leasehold.cancel, which any language can call.

use crate::fixture::{Fixture, concurrently, retry};
use leasehold_core::{JobId, NewJob, Retry, Settle, State, Unique, UniqueRule, WorkerId};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;
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
async fn seal_batch_refuses_a_name_by_its_parameter() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    for (arguments, wanted) in [
        ("'b', 'a b'", "on_success 'a b' is no name"),
        ("'b', on_death => ''", "on_death '' is no name"),
        ("'b', queue => 'a{b}'", "queue 'a{b}' is no name"),
        ("'b', queue => NULL", "queue '' is no name"),
    ] {
        let refused = sqlx::raw_sql(AssertSqlSafe(format!("SELECT leasehold.seal_batch({arguments})")));
        let refused = refused.execute(&mut connection).await.expect_err(arguments).to_string();
        assert!(refused.contains(wanted), "{arguments}: {refused}");
    }
}

#[tokio::test]
async fn enqueue_takes_the_words_of_what_runs_when() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let query = r#"SELECT leasehold.enqueue('k', '{"a": 1, "b": 2}', expires_at => now() + interval '1 hour',
        retry => '{"strategy": "linear", "base": "1h30m", "for": "2 days"}',
        "unique" => '{"while": "queued", "on_conflict": "replace", "fields": ["a"]}')"#;
    let id = call(&mut connection, query).await.expect("enqueue");
    let record = fixture.record(id).await;
    let wanted = Retry::linear(Duration::from_secs(5400)).for_time(Duration::from_secs(172_800));
    assert_eq!((record.retry, record.unique_rule), (Some(wanted), Some(UniqueRule::Queued)));
    assert_eq!(record.expires_at.map(|at| at - record.created_at), Some(chrono::TimeDelta::hours(1)));
    // A client makes the same key.
    let job = NewJob {
        payload: crate::fixture::json(r#"{"b": 3, "a": 1}"#),
        unique: Some(Unique::while_queued().fields(["a"])),
        ..crate::fixture::new_job()
    };
    let answer = fixture.enqueue(&[job]).await.expect("enqueue").remove(0);
    assert_eq!((answer.id, answer.inserted, answer.replaced), (id, false, false));
    assert_eq!(call(&mut connection, query).await.expect("enqueue"), id);
}

#[tokio::test]
async fn enqueue_many_takes_the_words_of_a_line() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let jobs = r#"[{"kind": "a", "payload": {"b": 1,  "a": 2}, "queue": "q", "priority": 3, "delay": "1h", "timeout": "90s",
                    "max_attempts": 2, "max_crashes": 2, "limit_key": "l", "expires_in": "2h"},
                   {"kind": "b", "unique_key": "u", "unique": {"on_conflict": "keep_last"}, "retry": {"base": "5s"}},
                   {"kind": "b", "payload": null, "unique_key": "u", "unique": {"on_conflict": "keep_last"}},
                   {"kind": "c", "id": "01890000-0000-7000-8000-000000000003", "run_at": "2030-01-31T08:00:00Z"}]"#;
    for cast in ["", "::text", "::json", "::jsonb"] {
        let query = format!("SELECT nth, id, inserted, replaced, state FROM leasehold.enqueue_many('{jobs}'{cast})");
        let rows = sqlx::query_as::<_, (i64, Uuid, bool, bool, String)>(AssertSqlSafe(query));
        let rows = rows.fetch_all(&mut connection).await.expect("enqueue_many");
        let told: Vec<_> = rows.iter().map(|row| (row.0, row.2, row.3, row.4.as_str())).collect();
        let is_first = cast.is_empty();
        let wanted = [
            (1, true, false, "scheduled"),
            (2, is_first, !is_first, "queued"),
            (3, false, true, "queued"),
            (4, is_first, false, "scheduled"),
        ];
        assert_eq!(told, wanted);
        assert_eq!(rows[1].1, rows[2].1);
        let record = fixture.record(JobId(rows[0].1)).await;
        assert_eq!((record.queue.as_str(), record.kind.as_str(), record.priority), ("q", "a", 3));
        assert_eq!((record.timeout_ms, record.max_attempts, record.max_crashes), (Some(90_000), 2, 2));
        assert_eq!((record.limit_key.as_deref(), record.expires_at.is_some()), (Some("l"), true));
        assert_eq!(record.run_at - record.created_at, chrono::TimeDelta::hours(1));
        if is_first {
            assert_eq!(record.payload.get(), r#"{"b": 1,  "a": 2}"#, "byte for byte");
        }
        assert_eq!(fixture.record(JobId(rows[2].1)).await.payload.get(), "null");
    }
}

#[tokio::test]
async fn enqueue_many_is_all_or_nothing_and_names_what_is_wrong() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    for (job, told) in [
        (r#"{"kind": "k", "colour": "red"}"#, "a job has no word colour"),
        (r#"{"kind": "k", "delay": "1s", "run_at": "2030-01-01T00:00:00Z"}"#, "a job has run_at or delay, not both"),
        (
            r#"{"kind": "k", "expires_in": "1s", "expires_at": "2030-01-01T00:00:00Z"}"#,
            "expires_at or expires_in, not both",
        ),
        (r#"[1]"#, "a job must be a JSON object"),
        (r#"{"payload": 1}"#, "kind NULL is no name"),
        (r#"{"kind": "k", "batch": 3}"#, "batch must be a string"),
        (r#"{"kind": "k", "depends_on": "01890000-0000-7000-8000-000000000002"}"#, "depends_on must be a list of ids"),
        (r#"{"kind": "k", "on_parent_failure": "explode"}"#, "it must be cancel, hold or run"),
        (r#"{"kind": "k", "delay": 5}"#, "delay must be a duration as text"),
        (r#"{"kind": "k", "delay": "soon"}"#, "delay is no duration"),
        (r#"{"kind": "k", "retry": {"bsae": "1s"}}"#, "retry has no field bsae"),
        (r#"{"kind": "k", "retry": 5}"#, "retry must be a JSON object"),
        (r#"{"kind": "k", "retry": {"strategy": "quadratic"}}"#, "is not exponential, linear or fixed"),
        (r#"{"kind": "k", "retry": {"base": "2s", "cap": "1s"}}"#, "retry.cap is less than retry.base"),
        (r#"{"kind": "k", "retry": {"for": "-1s"}}"#, "retry.for is"),
        (r#"{"kind": "k", "delay": "1h", "expires_in": "1h"}"#, "expires_at is not after the earliest start"),
        (r#"{"kind": "k", "unique": {}}"#, "unique needs one of"),
        (r#"{"kind": "k", "unique_key": "u", "unique": []}"#, "unique must be a JSON object"),
        (r#"{"kind": "k", "unique_key": "u", "unique": {"while": "running"}}"#, "is not live or queued"),
        (r#"{"kind": "k", "unique_key": "u", "unique": {"on_conflict": "fail"}}"#, "is not skip, replace or keep_last"),
        (r#"{"kind": "k", "unique_key": "u", "unique": {"fields": ["a"]}}"#, "unique needs one of"),
        (r#"{"kind": "k", "unique": {"fields": [1]}}"#, "unique.fields must be a list of names"),
        (r#"{"kind": "k", "unique": {"fields": ["a", ""]}}"#, "unique.fields has an empty name"),
        (r#"{"kind": "k", "unique": {"fields": "a"}}"#, "unique.fields must be a list of names"),
        (r#"{"kind": "k", "payload": [], "unique": {"fields": ["a"]}}"#, "needs a payload that is a JSON object"),
        (r#"{"kind": "k", "unique_key": "u", "unique": {"on_conflict": "keep_last", "for": "1h"}}"#, "with keep_last"),
        (r#"{"kind": "k", "unique_key": "u", "unique": {"longest_wait": "1h"}}"#, "unique.longest_wait needs"),
    ] {
        let query = format!(r#"SELECT id FROM leasehold.enqueue_many('[{{"kind": "good"}}, {job}]') LIMIT 1"#);
        let error = call(&mut connection, &query).await.expect_err(job);
        assert!(error.contains(told), "{job}: {error}");
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
