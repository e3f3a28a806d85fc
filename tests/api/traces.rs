//! W3C Trace Context: the trace of a request comes to the run of its job, and a job without a trace has none.

use crate::{
    http::{Reply, Served, request, send},
    member::{Member, SOON},
};
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

impl Served {
    async fn post_traced(&self, path: &str, body: &Value, trace: &str) -> Reply {
        let headers = [("content-type", "application/json"), ("traceparent", trace)];
        send(self.api.address(), &request("POST", path, &headers, &body.to_string())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_worker_gets_the_trace_of_the_request() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let limited = json!({ "jobs": [{ "kind": "many", "limit_keys": ["a"] }, { "kind": "many" }] });
    assert_eq!(served.post_traced("/v1/jobs", &json!({ "kind": "one" }), TRACE).await.status, 201);
    assert_eq!(served.post_traced("/v1/jobs", &limited, TRACE).await.status, 201);
    let graph = json!({ "jobs": [{ "name": "a", "kind": "graph" }] });
    assert_eq!(served.post_traced("/v1/graphs", &graph, TRACE).await.status, 201);
    assert_eq!(served.post("/v1/jobs", &json!({ "kind": "none" })).await.status, 201);
    for bad in ["00-x", &TRACE.to_uppercase(), "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        assert_eq!(
            served.post_traced("/v1/jobs", &json!({ "kind": "none" }), bad).await.status,
            201,
            "{bad} counts as none"
        );
    }
    // The word of a job comes before the header.
    let own = TRACE.replace("4bf9", "aaaa");
    let jobs = json!({ "jobs": [{ "kind": "own", "traceparent": own }, { "kind": "many" }] });
    assert_eq!(served.post_traced("/v1/jobs", &jobs, TRACE).await.status, 201);
    let graph = json!({ "jobs": [{ "name": "a", "kind": "own", "traceparent": own }] });
    assert_eq!(served.post_traced("/v1/graphs", &graph, TRACE).await.status, 201);
    let bad = served.post("/v1/jobs", &json!({ "kind": "k", "traceparent": "00-x" })).await;
    assert_eq!((bad.status, bad.pointers()), (422, vec!["/traceparent".to_owned()]), "{bad:?}");
    let mut seen = Vec::new();
    let claim = json!({ "worker": Uuid::now_v7(), "max": 10, "claim_id": "first" });
    while seen.len() < 11 {
        seen.extend(served.claim(json!({ "worker": Uuid::now_v7(), "max": 10 })).await);
    }
    for job in &seen {
        let wanted = match job["kind"].as_str() {
            Some("none") => Value::Null,
            Some("own") => json!(own),
            _ => json!(TRACE),
        };
        assert_eq!(job["traceparent"], wanted, "{job}");
    }
    assert_eq!(served.post_traced("/v1/jobs", &json!({ "kind": "one" }), TRACE).await.status, 201);
    for _ in 0..2 {
        let jobs = served.claim(claim.clone()).await;
        assert_eq!(jobs[0]["traceparent"], TRACE, "also if the claim is sent again: {jobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_trace_of_its_job_and_not_of_its_worker() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let arguments = ["worker", "--queue", "default", "--exec", "*=printf '\"%s\"' \"$TRACEPARENT\""];
    let of_worker = TRACE.replace("4bf9", "ffff");
    let _worker = Member::start_with(&stores, &stores.database.url, &arguments, &[("TRACEPARENT", &of_worker)]);
    let traced = served.post_traced("/v1/jobs", &json!({ "kind": "k" }), TRACE).await.json();
    let plain = served.post("/v1/jobs", &json!({ "kind": "k" })).await.json();
    for (job, wanted) in [(traced, TRACE), (plain, "")] {
        let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
        let ended = eventually("the end", SOON, || async {
            let job = served.get(&path).await.json();
            if job["state"] == "succeeded" { Ok(job) } else { Err(job) }
        })
        .await;
        assert_eq!(ended["result"], wanted, "{ended}");
    }
}
