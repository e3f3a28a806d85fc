//! Jobs, as a client sees them.

use crate::{
    http::{Reply, Served, request, send},
    member::SOON,
};
use futures_util::future::join_all;
use leasehold_tests::Stores;
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeSet;

async fn count(stores: &Stores, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(&mut stores.database.connect().await).await.expect(sql).get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_once_and_its_payload_stays_as_it_came() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let body = r#"{"kind":"k","payload":{"z":12345678901234567890123.10,"a":1.0}, "unique_key":"u", "priority":5}"#;
    let first = served.post_text("/v1/jobs", body).await;
    assert_eq!(
        (first.status, &first.json()["inserted"], &first.json()["state"]),
        (201, &json!(true), &json!("queued"))
    );
    let path = first.headers["location"].clone();
    assert_eq!(path, format!("/v1/jobs/{}", first.json()["id"].as_str().expect("an id")));
    let shown = served.get(&path).await;
    assert!(shown.text.contains(r#""payload":{"z":12345678901234567890123.10,"a":1.0}"#), "{shown:?}");
    assert_eq!(shown.json()["priority"], 5);
    let again = served.post_text("/v1/jobs", body).await;
    assert_eq!((again.status, &again.json()["inserted"]), (200, &json!(false)), "the unique key is held");
    assert_eq!(again.json()["id"], first.json()["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_jobs_are_accepted_together_or_not_at_all() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let jobs: Vec<Value> = (0..1000).map(|n| json!({ "kind": "k", "payload": n, "queue": "many" })).collect();
    let reply = served.post("/v1/jobs", &json!({ "jobs": jobs })).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let answers = reply.json()["jobs"].as_array().cloned().expect("answers");
    assert_eq!(answers.len(), 1000);
    let third = served.get(&format!("/v1/jobs/{}", answers[3]["id"].as_str().expect("an id"))).await;
    assert_eq!(third.json()["payload"], 3, "answers have the order of the jobs");
    let jobs: Vec<Value> = (0..1001).map(|_| json!({ "kind": "k" })).collect();
    assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.pointers(), ["/jobs"]);
    assert_eq!(served.post("/v1/jobs", &json!({ "jobs": [] })).await.pointers(), ["/jobs"]);

    // The second job cannot be made: its parent does not exist. So the first one is not made either.
    let nobody = "0198c5a4-0000-7000-8000-000000000000";
    let jobs = json!({ "jobs": [{ "kind": "first" }, { "kind": "second", "depends_on": [nobody] }] });
    let reply = served.post("/v1/jobs", &jobs).await;
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(count(&stores, "SELECT count(*) FROM leasehold.job WHERE queue <> 'many'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_pages() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let jobs: Vec<Value> = (0..25).map(|n| json!({ "kind": if n % 5 == 0 { "five" } else { "k" } })).collect();
    served.post("/v1/jobs", &json!({ "jobs": jobs })).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/jobs?kind=k&limit=7".to_owned());
    loop {
        let page = served.get(&path).await.json();
        seen.extend(page["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        let other = served.get(&format!("/v1/jobs?kind=five&limit=7&cursor={next}")).await;
        assert_eq!(other.pointers(), ["/query/cursor"], "a cursor belongs to its filter");
        path = format!("/v1/jobs?kind=k&limit=7&cursor={next}");
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (20, 20));
    let after = "/v1/jobs?after=2100-01-01T00:00:00Z";
    assert_eq!(served.get(after).await.json(), json!({ "jobs": [], "next": null }));
    assert_eq!(
        served.get("/v1/jobs?before=2100-01-01T00:00:00Z").await.json()["jobs"].as_array().map(Vec::len),
        Some(25)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_state_of_a_job_forbids_is_a_conflict() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let id = served.enqueue("k").await;
    let on = |what: &str| format!("/v1/jobs/{id}/{what}");
    let post = async |what: &str, body: Value| served.post(&on(what), &body).await;
    let told = |reply: &Reply| (reply.status, reply.json()["state"].clone(), reply.json()["changed"].clone());
    assert_eq!(told(&post("priority", json!({ "priority": 7 })).await), (200, json!("queued"), json!(true)));
    assert_eq!(post("priority", json!({ "priority": 101 })).await.status, 422);
    assert_eq!(post("retry", json!({})).await.code(), "conflict", "it waits already");
    let explained = served.get(&on("explain")).await;
    assert_eq!(explained.status, 200, "{explained:?}");
    let waited = served.get(&on("wait?timeout_ms=50")).await;
    assert_eq!((waited.status, &waited.json()["state"]), (202, &json!("queued")));
    // Without a body.
    let cancelled = send(served.api.address(), &request("POST", &on("cancel"), &[], "")).await;
    assert_eq!(told(&cancelled), (200, json!("cancelled"), json!(true)));
    assert_eq!(told(&post("cancel", json!({})).await), (200, json!("cancelled"), json!(false)));
    assert_eq!(post("priority", json!({ "priority": 1 })).await.code(), "conflict");
    assert_eq!(served.get(&on("wait")).await.status, 200);
    assert_eq!(told(&post("retry", json!({})).await), (200, json!("queued"), json!(true)));
    let nobody = "/v1/jobs/0198c5a4-0000-7000-8000-000000000000";
    for what in ["cancel", "retry"] {
        assert_eq!(served.post(&format!("{nobody}/{what}"), &json!({})).await.status, 404, "{what}");
    }
    assert_eq!(served.post(&format!("{nobody}/priority"), &json!({ "priority": 1 })).await.status, 404);
    for what in ["explain", "wait"] {
        assert_eq!(served.get(&format!("{nobody}/{what}")).await.status, 404, "{what}");
    }
}

/// Fifty simultaneous requests with the same key, over two servers: one job, and fifty equal answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_one_job() {
    let stores = Stores::start().await;
    let (served, other) = (Served::start(&stores), Served::start(&stores));
    let headers = [("content-type", "application/json"), ("idempotency-key", "order-7")];
    let body = json!({ "jobs": [{ "kind": "a" }, { "kind": "b" }] }).to_string();
    let request = request("POST", "/v1/jobs", &headers, &body);
    let sent = (0..50).map(|n| send(if n % 2 == 0 { served.api.address() } else { other.api.address() }, &request));
    let replies = join_all(sent).await;
    let answers: BTreeSet<(u16, &str)> = replies.iter().map(|reply| (reply.status, reply.text.as_str())).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(replies[0].status, 201);
    assert_eq!(count(&stores, "SELECT count(*) FROM leasehold.job").await, 2);

    let changed = self::request("POST", "/v1/jobs", &headers, r#"{"kind":"c"}"#);
    let reply = send(served.api.address(), &changed).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_mismatch"));
    let bad = [("content-type", "application/json"), ("idempotency-key", "")];
    assert_eq!(
        send(served.api.address(), &self::request("POST", "/v1/jobs", &bad, &body)).await.pointers(),
        ["/headers/idempotency-key"]
    );
    assert_eq!(count(&stores, "SELECT count(*) FROM leasehold.job").await, 2);

    // After a day the key is free, and a reaper deletes its row.
    let age = "UPDATE leasehold.idempotency SET created_at = now() - interval '25 hours'";
    sqlx::query(age).execute(&mut stores.database.connect().await).await.expect(age);
    let reply = send(served.api.address(), &changed).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    sqlx::query(age).execute(&mut stores.database.connect().await).await.expect(age);
    let config = leasehold::Config::new(&stores.database.url, &stores.redis.url);
    let pair = leasehold_client::Pair::connect(&config, "test").await.expect("a pair");
    pair.store.retain(SOON).await.expect("retain");
    assert_eq!(count(&stores, "SELECT count(*) FROM leasehold.idempotency").await, 0);
}
