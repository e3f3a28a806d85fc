//! The server encrypts and decrypts for its clients and for HTTP workers.

use crate::{
    claims::jobs,
    http::{Served, request, send},
};
use leasehold_tests::{Stores, eventually, leaks};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const KEYS: [(&str, &str); 1] = [("LEASEHOLD_ENCRYPTION__KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
const SECRET: &str = "4111-1111";

async fn encrypt_default(served: &Served) -> Value {
    let body = json!({ "encrypted": true }).to_string();
    let json = [("content-type", "application/json")];
    let reply = send(served.api.address(), &request("PATCH", "/v1/queues/default", &json, &body)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_workers_over_http_see_plain_text_and_postgresql_does_not() {
    let stores = Stores::start().await;
    let served = Served::start_with(&stores, &KEYS);
    assert_eq!(encrypt_default(&served).await["encrypted"], json!(true));
    let queues = served.get("/v1/queues").await.json();
    assert_eq!((&queues["queues"][0]["queue"], &queues["queues"][0]["encrypted"]), (&json!("default"), &json!(true)));

    let job = json!({ "kind": "k", "payload": { "card": SECRET } }).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
    let enqueue = request("POST", "/v1/jobs", &headers, &job);
    let first = send(served.api.address(), &enqueue).await;
    let again = send(served.api.address(), &enqueue).await;
    assert_eq!(
        (first.status, again.status, &first.json()["id"]),
        (201, again.status, &again.json()["id"]),
        "{again:?}"
    );
    let other = request("POST", "/v1/jobs", &headers, &job.replace("4111", "4112"));
    assert_eq!(send(served.api.address(), &other).await.status, 422, "another request with the same key");
    let graph = json!({ "jobs": [
        { "name": "a", "kind": "k", "payload": SECRET }, { "name": "b", "kind": "k", "payload": SECRET, "after": ["a"] },
    ] });
    assert_eq!(served.post("/v1/graphs", &graph).await.status, 201);
    assert_eq!(leaks(&mut stores.database.connect().await, SECRET).await, [""; 0]);

    let mut parents = Vec::new();
    for _ in 0..3 {
        let claimed = served.claim(json!({ "worker": Uuid::now_v7(), "max": 1 })).await.pop().expect("a job");
        assert!(claimed["payload"].to_string().contains(SECRET), "{claimed}");
        parents.extend(claimed["parents"].as_array().cloned().expect("parents"));
        let follows = json!([{ "kind": "last", "queue": "default", "payload": SECRET, "delay": "1h" }]);
        let done = served.end(&claimed, "complete", json!({ "result": { "card": SECRET }, "enqueue": follows })).await;
        assert_eq!(done.status, 200, "{done:?}");
    }
    assert_eq!(parents.len(), 1);
    assert_eq!(parents[0]["result"], json!({ "card": SECRET }));
    let shown = served.get(&format!("/v1/jobs/{}", first.json()["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&shown["payload"], &shown["result"]), (&json!({ "card": SECRET }), &json!({ "card": SECRET })));
    let found = served.get(&format!("/v1/jobs?q={SECRET}")).await.json();
    assert_eq!(found["jobs"].as_array().map(Vec::len), Some(6), "{found}");
    assert_eq!(leaks(&mut stores.database.connect().await, SECRET).await, [""; 0]);

    let reserved = json!({ "kind": "k", "payload": { "$encrypted": { "v": 1 } } });
    assert_eq!(served.post("/v1/jobs", &reserved).await.pointers(), ["/payload"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_other_keys_know_a_request_without_encrypted_payloads() {
    let stores = Stores::start().await;
    let (with_keys, without) = (Served::start_with(&stores, &KEYS), Served::start(&stores));
    let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
    let enqueue = request("POST", "/v1/jobs", &headers, r#"{"kind":"k"}"#);
    let first = send(with_keys.api.address(), &enqueue).await;
    let again = send(without.api.address(), &enqueue).await;
    assert_eq!((first.status, &first.json()["id"]), (201, &again.json()["id"]), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_keys_hands_no_job_out_and_ends_none_in_plain_text() {
    let stores = Stores::start().await;
    let served = Served::start_with(&stores, &KEYS);
    encrypt_default(&served).await;
    let id = served.post("/v1/jobs", &json!({ "kind": "k", "payload": SECRET })).await.json()["id"].clone();
    let without = Served::start(&stores);
    let refused = without.post("/v1/jobs", &json!({ "kind": "k", "payload": SECRET })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text.contains("queue default takes encrypted payloads"), "{refused:?}");

    let claim = json!({ "worker": Uuid::now_v7(), "max": 1, "wait_ms": 0 });
    eventually("the server gives the job back", Duration::from_secs(20), async || {
        let given = jobs(&without.post("/v1/queues/default/claim", &claim).await);
        assert_eq!(given, [Value::Null; 0]);
        let job = without.get(&format!("/v1/jobs/{}", id.as_str().expect("an id"))).await.json();
        if job["state"] == json!("scheduled") { Ok(()) } else { Err(job) }
    })
    .await;
    let job = without.get(&format!("/v1/jobs/{}", id.as_str().expect("an id"))).await.json();
    assert_eq!(job["attempt"], json!(0));
    assert!(job["payload"]["$encrypted"].as_str().is_some_and(|told| told.contains("with key k1")), "{job}");

    // Another server has handed the job out, and this one gets its end.
    assert_eq!(without.post(&format!("/v1/jobs/{}/retry", id.as_str().expect("an id")), &json!({})).await.status, 200);
    let claimed = served.claim(json!({ "worker": Uuid::now_v7(), "max": 1 })).await.pop().expect("the job");
    let refused = without.end(&claimed, "complete", json!({ "result": SECRET })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text.contains("encryption.keys"), "{refused:?}");
    assert_eq!(served.end(&claimed, "complete", json!({ "result": SECRET })).await.status, 200);
    assert_eq!(leaks(&mut stores.database.connect().await, SECRET).await, [""; 0]);
}
