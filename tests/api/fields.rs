//! Values stay as they came, and an error names the field that is to blame, also if only PostgreSQL finds it.

use crate::http::{Reply, Served, parse, request, send};
use leasehold_tests::{Stores, leasehold_program};
use serde_json::{Value, json};
use sqlx::Row;
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

/// JSON that other programs change: null, numbers beyond 64 bits, the form of a number, keys out of order.
const PAYLOADS: [&str; 7] = [
    "null",
    "123456789012345678901234567890",
    "-1e400",
    "1.0",
    "0.1000000000000000055511151231257827",
    r#"{"z":null,"a":18446744073709551616}"#,
    "[]",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_stays_as_it_came() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let words: Vec<String> = PAYLOADS.iter().map(|payload| format!(r#"{{"kind":"k","payload":{payload}}}"#)).collect();
    for word in &words {
        assert_eq!(served.post_text("/v1/jobs", word).await.status, 201, "{word}");
    }
    let all = format!(r#"{{"jobs":[{}]}}"#, words.join(","));
    assert_eq!(served.post_text("/v1/jobs", &all).await.status, 201);
    assert_eq!(served.post_text("/v1/graphs", &all).await.status, 201);
    let mut stdin = Command::new(leasehold_program());
    stdin.args(["enqueue", "--stdin"]).env_clear().env("LEASEHOLD_DATABASE_URL", &stores.database.url);
    let mut stdin = stdin.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program");
    stdin.stdin.take().expect("its input").write_all((words.join("\n") + "\n").as_bytes()).expect("the lines");
    assert!(stdin.wait().expect("its end").success());
    let mut sql = stores.database.connect().await;
    for payload in PAYLOADS {
        let one = "SELECT leasehold.enqueue('k', $1::text)";
        sqlx::query(one).bind(payload).execute(&mut sql).await.expect(one);
        let many = "SELECT leasehold.enqueue_many(format('[{\"kind\":\"k\",\"payload\":%s}]', $1::text))";
        sqlx::query(many).bind(payload).execute(&mut sql).await.expect(many);
    }
    for payload in PAYLOADS {
        let same = "SELECT count(*) FROM leasehold.job WHERE payload::text = $1";
        let count: i64 = sqlx::query(same).bind(payload).fetch_one(&mut sql).await.expect(same).get(0);
        assert_eq!(count, 6, "{payload}");
    }
    let claim = json!({ "worker": Uuid::now_v7(), "max": 500 });
    let mut seen = String::new();
    let mut got = 0;
    while got < 6 * PAYLOADS.len() {
        let claimed = served.post("/v1/queues/default/claim", &claim).await;
        got += claimed.text.matches("\"payload\":").count();
        seen += &claimed.text;
    }
    for payload in PAYLOADS {
        assert_eq!(seen.matches(&format!("\"payload\":{payload},")).count(), 6, "{payload}");
    }
    let shown = served.get("/v1/jobs?limit=1000").await.text;
    assert_eq!(shown.matches("\"payload\":null,").count(), 6);
    let without = served.enqueue("k").await;
    assert_eq!(
        served.get(&format!("/v1/jobs/{without}")).await.json()["payload"],
        json!({}),
        "no payload is an object"
    );
}

fn blamed(reply: &Reply) -> Vec<String> {
    assert_eq!((reply.status, reply.code().as_str()), (422, "invalid"), "{reply:?}");
    let error = &reply.json()["error"];
    assert!(!error["message"].as_str().expect("a message").starts_with(':'), "{reply:?}");
    assert!(!reply.text.contains("leasehold."), "a name of a function: {reply:?}");
    reply.pointers()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_blames_the_right_field() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let nobody = Uuid::now_v7();
    assert_eq!(served.post("/v1/jobs", &json!({ "kind": "k", "batch": "full" })).await.status, 201);
    assert_eq!(served.post("/v1/batches/full/seal", &json!({})).await.status, 200);
    let replacing = json!({ "on_conflict": "replace" });
    let (orphan, sealed) = (json!({ "kind": "k", "depends_on": [nobody] }), json!({ "kind": "k", "batch": "full" }));
    for (body, pointers) in [
        // Only PostgreSQL knows that there is no such parent, and that the batch is sealed.
        (orphan.clone(), vec!["/depends_on"]),
        (sealed.clone(), vec!["/batch"]),
        (json!({ "jobs": [{ "kind": "k" }, orphan, { "kind": "k" }] }), vec!["/jobs/1/depends_on"]),
        (json!({ "jobs": [{ "kind": "k", "batch": "free" }, sealed] }), vec!["/jobs/1/batch"]),
        // The rule of the key is good.
        (json!({ "kind": "k", "priority": 500, "unique_key": "u", "unique": replacing }), vec!["/priority"]),
        (json!({ "kind": "k", "unique_key": "", "unique": replacing }), vec!["/unique_key"]),
        (json!({ "kind": "k", "payload": 1, "unique": { "fields": ["a"] } }), vec!["/unique/fields"]),
        (json!({ "kind": "k", "unique": replacing }), vec!["/unique"]),
        (json!({ "kind": "k", "retry": { "base": "10s", "cap": "1s" } }), vec!["/retry/cap"]),
        // Words that do not go together, beside a word that is bad alone.
        (
            json!({ "kind": "k", "priority": 500, "depends_on": [nobody], "delay": "1s" }),
            vec!["/priority", "/depends_on"],
        ),
        (json!({ "kind": "k", "delay": "1s", "run_at": "2030-01-01T00:00:00Z" }), vec!["/delay"]),
    ] {
        assert_eq!(blamed(&served.post("/v1/jobs", &body).await), pointers, "{body}");
    }
    let graph = json!({ "jobs": [{ "name": "a", "kind": "k" }, { "name": "b", "kind": "k", "depends_on": [nobody] }] });
    assert_eq!(blamed(&served.post("/v1/graphs", &graph).await), ["/jobs/1/depends_on"]);
    let put = async |path: &str, body: Value| {
        let json = [("content-type", "application/json")];
        blamed(&send(served.api.address(), &request("PUT", path, &json, &body.to_string())).await)
    };
    assert_eq!(put("/v1/limits/k", json!({ "rate": "often" })).await, ["/rate"]);
    let job = json!({ "kind": "k" });
    assert_eq!(put("/v1/schedules/s", json!({ "cron": "never", "job": job })).await, ["/cron"]);
    assert_eq!(
        put("/v1/schedules/s", json!({ "cron": "@daily", "timezone": "Mars", "job": job })).await,
        ["/timezone"]
    );
    assert_eq!(put("/v1/schedules/s", json!({ "every": "1ms", "job": job })).await, ["/every"]);
}

/// A client that promises more than the server would read gets its answer before it has sent anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_that_it_is_huge_is_refused_at_once() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}content-length: 90000000000\r\n\r\n{{").as_bytes()).await.expect("the head");
    let mut answer = Vec::new();
    // The client keeps its side open and sends no more.
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("an answer long before the body is late").expect("the whole answer");
    let reply = parse(&answer);
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"), "{reply:?}");
}

/// A client that stops in the middle of its body has sent no request that is too large.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_is_malformed() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
        let part = if head.contains("chunked") { "64\r\n{\"kind\":" } else { "{\"kind\":" };
        let request = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{head}\r\n\r\n{part}"
        );
        stream.write_all(request.as_bytes()).await.expect("a part of the request");
        stream.shutdown().await.expect("the end of this side");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let reply = parse(&answer);
        assert_eq!((reply.status, reply.code().as_str()), (400, "malformed"), "{reply:?}");
    }
}
