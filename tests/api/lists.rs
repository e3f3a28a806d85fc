//! Lists: bounded pages, a text to search for, answers that the client has already; and fair keys.

use crate::http::{Served, request, send};
use leasehold_tests::Stores;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A page of jobs with large payloads is shortened, and the cursor continues behind its last job.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_a_bound_in_bytes() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let big = "x".repeat(1_000_000);
    let jobs: Vec<Value> = (0..12).map(|_| json!({ "kind": "big", "payload": big })).collect();
    assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    let small: Vec<Value> = (0..100).map(|_| json!({ "kind": "small" })).collect();
    assert_eq!(served.post("/v1/jobs", &json!({ "jobs": small })).await.status, 201);
    let (mut seen, mut pages, mut path) = (Vec::new(), 0, "/v1/jobs?limit=1000".to_owned());
    loop {
        let page = served.get(&path).await;
        assert!(page.text.len() < 5_500_000, "{} bytes", page.text.len());
        let page = page.json();
        let jobs = page["jobs"].as_array().expect("jobs");
        seen.extend(jobs.iter().map(|job| job["id"].to_string()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        assert!(!jobs.is_empty());
        path = format!("/v1/jobs?limit=1000&cursor={next}");
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (112, 112));
    assert!((3..=5).contains(&pages), "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_a_text() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut jobs: Vec<Value> = (0..900).map(|n| json!({ "kind": "k", "payload": { "n": n } })).collect();
    jobs[3] = json!({ "kind": "k", "payload": { "to": "Ann Needle" } });
    jobs[500] = json!({ "kind": "needle.work" });
    jobs[700] = json!({ "kind": "k", "unique_key": "the-needle", "queue": "q" });
    assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    let found = async |query: &str| {
        let page = served.get(&format!("/v1/jobs?{query}")).await.json();
        let jobs = page["jobs"].as_array().cloned().expect("jobs");
        (jobs.len(), page["next"].as_str().map(str::to_owned), jobs)
    };
    assert_eq!(found("q=needle").await.0, 3);
    let (count, next, jobs) = found("q=NEEDLE&limit=1").await;
    assert_eq!((count, &jobs[0]["unique_key"]), (1, &json!("the-needle")), "the newest first");
    let rest = found(&format!("q=NEEDLE&limit=2&cursor={}", next.expect("a cursor"))).await;
    assert_eq!(rest.0, 2);
    assert_eq!(found("q=needle&queue=q").await.0, 1);
    let id = jobs[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(found(&format!("q={}", &id[10..])).await.0, 1, "a part of an id");
    assert_eq!(found("q=haystack").await.0, 0);
    assert_eq!(served.get("/v1/jobs?q=").await.pointers(), ["/query/q"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    served.post("/v1/jobs", &json!({ "kind": "k", "delay": "1h" })).await;
    for path in ["/v1/queues", "/v1/stats"] {
        let first = served.get(path).await;
        let tag = first.headers["etag"].clone();
        let ask =
            async |tags: &str| send(served.api.address(), &request("GET", path, &[("if-none-match", tags)], "")).await;
        for tags in [tag.as_str(), &format!("\"other\", W/{tag}")] {
            let again = ask(tags).await;
            assert_eq!((again.status, again.text.as_str(), &again.headers["etag"]), (304, "", &tag), "{path} {tags}");
        }
        assert_eq!(ask("\"other\"").await.status, 200);
        served.post("/v1/jobs", &json!({ "kind": "k", "delay": "1h" })).await;
        let changed = ask(&tag).await;
        assert_eq!(changed.status, 200, "{path}");
        assert_ne!(changed.headers["etag"], tag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_enqueued_once_for_each_key() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let graph = json!({ "jobs": [{ "name": "a", "kind": "k" }, { "name": "b", "kind": "k", "after": ["a"] }] });
    let send_to = async |path: &str, key: &str, body: &Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        send(served.api.address(), &request("POST", path, &headers, &body.to_string())).await
    };
    let (first, again) = tokio::join!(send_to("/v1/graphs", "g", &graph), send_to("/v1/graphs", "g", &graph));
    assert_eq!((first.status, &first.text), (201, &again.text), "{again:?}");
    assert_eq!(first.json()["jobs"][1]["state"], "blocked");
    assert_eq!(served.get("/v1/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(2));
    let other = json!({ "jobs": [{ "kind": "k" }] });
    assert_eq!(send_to("/v1/graphs", "g", &other).await.code(), "idempotency_mismatch");
    // The same body at another path is another request.
    assert_eq!(send_to("/v1/graphs", "h", &other).await.status, 201);
    assert_eq!(send_to("/v1/jobs", "h", &other).await.code(), "idempotency_mismatch");
    assert_eq!(send_to("/v1/graphs", "", &other).await.pointers(), ["/headers/idempotency-key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fair_key_is_paused_and_weighed() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let json_type = [("content-type", "application/json")];
    let with = async |method: &str, path: &str, body: Value| {
        send(served.api.address(), &request(method, path, &json_type, &body.to_string())).await
    };
    let key = json!({ "fair_key": "ann" });
    assert_eq!(with("PATCH", "/v1/queues/q", json!({ "fair": false })).await.status, 200);
    assert_eq!(with("POST", "/v1/queues/q/pause", key.clone()).await.code(), "conflict", "keys are only labels");
    assert_eq!(with("PATCH", "/v1/queues/q", json!({ "fair": true })).await.status, 200);
    let both = json!({ "fair_key": "ann", "kind": "k" });
    assert_eq!(with("POST", "/v1/queues/q/pause", both).await.pointers(), ["/fair_key"]);
    let paused = with("POST", "/v1/queues/q/pause", key.clone()).await;
    assert_eq!(paused.json(), json!({ "queue": "q", "fair_key": "ann", "paused": true, "changed": true }));
    for key in ["ann", "bob"] {
        let job = json!({ "kind": "k", "queue": "q", "fair_key": key, "payload": key });
        assert_eq!(served.post("/v1/jobs", &job).await.status, 201);
    }
    let claim = json!({ "worker": uuid::Uuid::now_v7(), "max": 2, "wait_ms": 5_000 });
    let got = served.post("/v1/queues/q/claim", &claim).await.json();
    assert_eq!((got["jobs"].as_array().map(Vec::len), &got["jobs"][0]["payload"]), (Some(1), &json!("bob")));
    assert_eq!(with("POST", "/v1/queues/q/resume", key).await.json()["changed"], true);
    let got = served.post("/v1/queues/q/claim", &claim).await.json();
    assert_eq!(got["jobs"][0]["payload"], "ann");
    let set = with("PUT", "/v1/queues/q/weights", json!({ "fair_key": "ann", "weight": 2.5 })).await;
    assert_eq!((set.status, set.json()["weights"].as_array().map(Vec::len)), (200, Some(1)), "{set:?}");
    assert_eq!(served.get("/v1/queues/q/weights").await.json(), set.json());
    for (bad, pointers) in [
        (json!({ "fair_key": "ann", "weight": 0 }), ["/weight"]),
        (json!({ "fair_key": "", "weight": 1 }), ["/fair_key"]),
        (json!({ "weight": 1 }), ["/fair_key"]),
    ] {
        assert_eq!(with("PUT", "/v1/queues/q/weights", bad).await.pointers(), pointers);
    }
}
