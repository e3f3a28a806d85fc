//! The escape `\u0000` in a payload. A payload is stored as it came, byte for byte, through every door that PostgreSQL allows. Where
//! PostgreSQL has to take the payload apart, one error says so, before anything is written.

use crate::http::Served;
use leasehold::Client;
use leasehold_tests::{Stores, leasehold_program};
use serde_json::json;
use sqlx::PgConnection;
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// The first has the escape, the second has a backslash and four digits.
const PAYLOADS: [&str; 2] = [r#"{"a":"x\u0000y"}"#, r#"{"a":"x\\u0000y"}"#];
const WITH_ESCAPE: &str = PAYLOADS[0];

fn enqueue(stores: &Stores, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(leasehold_program());
    command.arg("enqueue").args(args).env_clear().env("LEASEHOLD_DATABASE_URL", &stores.database.url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("the lines");
    child.wait_with_output().expect("its end")
}

async fn rows(sql: &mut PgConnection, payload: &str) -> i64 {
    let same = "SELECT count(*) FROM leasehold.job WHERE payload::text = $1";
    sqlx::query_scalar(same).bind(payload).fetch_one(sql).await.expect(same)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_with_nul_stays_as_it_came_through_every_door() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut sql = stores.database.connect().await;
    let config = leasehold::Config::new(&stores.database.url, &stores.redis.url);
    let client = Client::connect(&config).await.expect("a client");
    for payload in PAYLOADS {
        let plain = format!(r#"{{"kind":"k","payload":{payload}}}"#);
        let rare = format!(r#"{{"kind":"k","batch":"b","limit_key":"l","payload":{payload}}}"#);
        for body in [&plain, &rare, &format!(r#"{{"jobs":[{plain},{rare}]}}"#)] {
            let reply = served.post_text("/v1/jobs", body).await;
            assert_eq!(reply.status, 201, "{body}: {reply:?}");
        }
        let graph = format!(r#"{{"jobs":[{{"name":"n","kind":"k","payload":{payload}}}]}}"#);
        let reply = served.post_text("/v1/graphs", &graph).await;
        assert_eq!(reply.status, 201, "{graph}: {reply:?}");
        for (args, input) in [
            (&["--kind", "k", "--payload", payload][..], String::new()),
            (&["--kind", "k", "--payload", payload, "--batch", "b"], String::new()),
            (&["--stdin"], format!("{plain}\n{rare}\n")),
        ] {
            let ran = enqueue(&stores, args, &input);
            assert!(ran.status.success(), "{args:?}: {ran:?}");
        }
        let one = "SELECT leasehold.enqueue('k', $1::text), leasehold.enqueue('k', $1::json, batch => 'b')";
        sqlx::query(one).bind(payload).execute(&mut sql).await.expect(one);
        let value = serde_json::value::RawValue::from_string(payload.to_owned()).expect("JSON");
        let job = leasehold::NewJob::new("k".parse().expect("a kind"), value);
        client.enqueue_many(&[job]).await.expect("enqueue");
        let others = "SELECT coalesce(json_agg(j)::text, '') FROM leasehold.job j WHERE payload::text <> ALL ($1)";
        let others: String =
            sqlx::query_scalar(others).bind(PAYLOADS.as_slice()).fetch_one(&mut sql).await.expect("rows");
        assert_eq!((rows(&mut sql, payload).await, others.as_str()), (5 + 4 + 2 + 1, ""), "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_postgresql_cannot_read_the_payload_one_error_says_so_and_nothing_is_written() {
    const SAID: &str = r"has the escape \u0000: PostgreSQL can make no unique key of it";
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut sql = stores.database.connect().await;
    let good = r#"{"kind":"k"}"#;
    for unique in [json!({ "payload": true }), json!({ "fields": ["b"] })] {
        let bad = format!(r#"{{"kind":"k","payload":{WITH_ESCAPE},"unique":{unique}}}"#);
        for (body, pointer) in
            [(bad.clone(), "/payload"), (format!(r#"{{"jobs":[{good},{bad},{good}]}}"#), "/jobs/1/payload")]
        {
            let reply = served.post_text("/v1/jobs", &body).await;
            assert_eq!((reply.status, reply.pointers()), (422, vec![pointer.to_owned()]), "{reply:?}");
            assert!(reply.json().to_string().contains(r"has the escape \\u0000: PostgreSQL can make no"), "{reply:?}");
        }
        let ran = enqueue(&stores, &["--stdin"], &format!("{good}\n{bad}\n{good}\n"));
        let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(stderr.contains("line 2: payload ") && stderr.contains(SAID), "{stderr}");
        assert!(stderr.contains("nothing was accepted"), "{stderr}");
        let one = "SELECT leasehold.enqueue('k', $1::text, \"unique\" => $2::text::jsonb)";
        let one = sqlx::query(one).bind(WITH_ESCAPE).bind(unique.to_string()).execute(&mut sql).await;
        let said = one.expect_err("no unique key").to_string();
        assert!(said.contains("leasehold.enqueue: payload: PostgreSQL can make no unique key of it"), "{said}");
    }
    let ran = enqueue(&stores, &["--kind", "k", "--payload", WITH_ESCAPE, "--unique-payload"], "");
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.code() == Some(2) && stderr.contains("payload ") && stderr.contains(SAID), "{ran:?}");
    for (function, jobs) in [
        ("enqueue_many", format!(r#"[{good},{{"kind":"k","payload":{WITH_ESCAPE}}},{good}]"#)),
        ("enqueue_graph", format!(r#"{{"jobs":[{{"name":"n","kind":"k","payload":{WITH_ESCAPE}}}]}}"#)),
    ] {
        for many in
            [format!("SELECT leasehold.{function}($1::text)"), format!("SELECT leasehold.{function}($1::text::json)")]
        {
            let many = sqlx::query(sqlx::AssertSqlSafe(many)).bind(&jobs).execute(&mut sql).await;
            let said = many.expect_err("no part of it can be read").to_string();
            assert!(said.contains(r"the payload, or another word of a job, has the escape \u0000"), "{said}");
        }
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(&mut sql).await.expect("a count");
    assert_eq!(count, 0, "nothing was written");
}
