//! Queues, graphs, batches, limits and schedules: thin routes over what the command line calls.

use crate::http::{Reply, Served, request, send};
use leasehold_tests::Stores;
use serde_json::{Value, json};

impl Served {
    async fn without_body(&self, method: &str, path: &str) -> Reply {
        send(self.api.address(), &request(method, path, &[], "")).await
    }
}

fn is(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_paused_resumed_set_and_emptied() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for _ in 0..3 {
        served.enqueue("k").await;
    }
    let paused = is(&served.without_body("POST", "/v1/queues/default/pause").await, 200);
    assert_eq!(paused, json!({ "queue": "default", "paused": true, "changed": true }));
    let claim = json!({ "worker": "0198c5a4-0000-7000-8000-000000000001", "wait_ms": 0 });
    assert_eq!(is(&served.post("/v1/queues/default/claim", &claim).await, 200), json!({ "jobs": [] }));
    let listed = is(&served.get("/v1/queues").await, 200);
    assert_eq!((&listed["queues"][0]["paused"], &listed["queues"][0]["queued"]), (&json!(true), &json!(3)));
    let described = served.get("/v1/openapi.json").await.json();
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let view = &described["components"]["schemas"]["QueueView"]["properties"];
    assert_eq!(fields(&listed["queues"][0]), fields(view));
    let stats = is(&served.get("/v1/stats").await, 200);
    let workers = is(&served.get("/v1/workers").await, 200);
    assert_eq!(workers["workers"][0]["queues"][0][0], "default", "the claim above: {workers}");
    assert!(stats["postgres"].is_array() && stats["redis"]["queues"].is_array(), "{stats}");
    assert_eq!(is(&served.post("/v1/queues/default/resume", &Value::Null).await, 200)["changed"], true);

    let kind = json!({ "kind": "k" });
    let paused = is(&served.post("/v1/queues/default/pause", &kind).await, 200);
    assert_eq!(paused, json!({ "queue": "default", "kind": "k", "paused": true, "changed": true }));
    assert_eq!(is(&served.post("/v1/queues/default/claim", &claim).await, 200), json!({ "jobs": [] }));
    assert_eq!(is(&served.get("/v1/queues").await, 200)["queues"][0]["paused_kinds"], json!(["k"]));
    assert_eq!(is(&served.post("/v1/queues/default/resume", &kind).await, 200)["changed"], true);

    let patch = json!({ "priority_step": "10m", "dead_letter": "letters", "keep_days": 3 });
    let set = is(&served.with("PATCH", "/v1/queues/default", &patch).await, 200);
    let step = (&set["priority_step_ms"], &set["dead_letter"], &set["keep_days"]);
    assert_eq!(step, (&json!(600_000), &json!("letters"), &json!(3)));
    let set = is(&served.with("PATCH", "/v1/queues/default", &json!({ "dead_letter": null })).await, 200);
    assert_eq!((&set["dead_letter"], &set["keep_days"]), (&json!(null), &json!(3)), "the rest stays");
    let bad = json!({ "priority_step": "soon", "dead_letter": "default", "keep_days": 0 });
    let reply = served.with("PATCH", "/v1/queues/default", &bad).await;
    assert_eq!(reply.pointers(), ["/keep_days", "/priority_step", "/dead_letter"], "{reply:?}");
    assert_eq!(served.with("PATCH", "/v1/queues/default", &json!({})).await.code(), "invalid");

    let purged = is(&served.without_body("POST", "/v1/queues/default/purge").await, 200);
    assert_eq!(purged, json!({ "queue": "default", "cancelled": 3, "more": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_accepted_as_a_whole() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let graph = json!({ "jobs": [
        { "name": "load", "kind": "load", "payload": { "day": 1 } },
        { "name": "mail", "kind": "mail", "after": ["load"] },
    ] });
    let made = is(&served.post("/v1/graphs", &graph).await, 201);
    let states: Vec<&Value> = made["jobs"].as_array().expect("jobs").iter().map(|job| &job["state"]).collect();
    assert_eq!(states, ["queued", "blocked"]);
    let id = made["jobs"][1]["id"].as_str().expect("an id");
    let shown = is(&served.get(&format!("/v1/graphs/{id}")).await, 200);
    assert_eq!(shown["jobs"].as_array().map(Vec::len), Some(2), "{shown}");
    let cycle =
        json!({ "jobs": [{ "name": "a", "kind": "k", "after": ["b"] }, { "name": "b", "kind": "k", "after": ["a"] }] });
    assert_eq!(served.post("/v1/graphs", &cycle).await.pointers(), ["/jobs"]);
    let bad = json!({ "jobs": [{ "name": "a" }, { "name": "b", "kind": "k", "priority": 200 }] });
    assert_eq!(served.post("/v1/graphs", &bad).await.pointers(), ["/jobs/0/kind", "/jobs/1/priority"]);
    assert_eq!(served.get("/v1/graphs/0198c5a4-0000-7000-8000-000000000000").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_shown_sealed_awaited_and_cancelled() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    served.post("/v1/jobs", &json!({ "kind": "k", "batch": "b 1" })).await;
    let path = "/v1/batches/b%201";
    assert_eq!(is(&served.get(path).await, 200)["queued"], 1);
    assert_eq!(is(&served.get("/v1/batches").await, 200)["batches"][0]["name"], "b 1");
    assert_eq!(is(&served.get("/v1/jobs?batch=b%201").await, 200)["jobs"].as_array().map(Vec::len), Some(1));
    let waited = served.get(&format!("{path}/wait?timeout_ms=50")).await;
    assert_eq!(waited.status, 202, "{waited:?}");
    let sealed = is(&served.with("POST", &format!("{path}/seal"), &json!({ "on_complete": "done" })).await, 200);
    assert_eq!(sealed["on_complete"], "done");
    let other = served.with("POST", &format!("{path}/seal"), &json!({ "on_complete": "other" })).await;
    assert_eq!(other.code(), "conflict");
    let cancelled = is(&served.without_body("POST", &format!("{path}/cancel")).await, 200);
    assert_eq!(cancelled, json!({ "cancelled": 1, "stopping": 0 }));
    let waited = is(&served.get(&format!("{path}/wait")).await, 200);
    assert!(waited["complete_job"].is_string(), "its callback is enqueued: {waited}");
    for what in ["", "/wait"] {
        assert_eq!(served.get(&format!("/v1/batches/none{what}")).await.status, 404, "{what}");
    }
    assert_eq!(served.without_body("POST", "/v1/batches/none/cancel").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_set_and_removed() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let path = "/v1/limits/tenant-7";
    assert_eq!(served.get(path).await.status, 404);
    let set = is(&served.with("PUT", path, &json!({ "running": 1, "rate": "10/s", "burst": 20 })).await, 200);
    assert_eq!((&set["running"], &set["rate"], &set["burst"]), (&json!(1), &json!("10/s"), &json!(20)));
    for _ in 0..2 {
        served.post("/v1/jobs", &json!({ "kind": "k", "limit_key": "tenant-7" })).await;
    }
    let claim = json!({ "worker": "0198c5a4-0000-7000-8000-000000000001", "max": 2 });
    let claimed = is(&served.post("/v1/queues/default/claim", &claim).await, 200);
    assert_eq!(claimed["jobs"].as_array().map(Vec::len), Some(1), "one runs at a time");
    let job = &claimed["jobs"][0];
    let end = json!({ "worker": job["worker"], "epoch": job["epoch"] });
    is(&served.post(&format!("/v1/jobs/{}/complete", job["id"].as_str().expect("an id")), &end).await, 200);
    let next = is(&served.post("/v1/queues/default/claim", &claim).await, 200);
    assert_eq!(next["jobs"].as_array().map(Vec::len), Some(1), "its end lets the next one start");
    assert_eq!(is(&served.get("/v1/limits").await, 200)["limits"].as_array().map(Vec::len), Some(1));
    assert_eq!(served.with("PUT", path, &json!({ "burst": 0 })).await.pointers(), ["/burst", "/running"]);
    assert_eq!(served.with("PUT", path, &json!({ "rate": "often" })).await.status, 422);
    assert_eq!(is(&served.without_body("DELETE", path).await, 200), json!({ "removed": true }));
    assert_eq!(served.without_body("DELETE", path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_set_paused_run_and_removed() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let path = "/v1/schedules/nightly";
    let body = json!({ "cron": "30 2 * * *", "timezone": "Europe/Berlin", "job": { "kind": "report", "payload": { "n": 1 } } });
    let set = is(&served.with("PUT", path, &body).await, 200);
    assert_eq!((&set["kind"], set["next"].as_array().map(Vec::len)), (&json!("report"), Some(5)), "{set}");
    assert_eq!(is(&served.get("/v1/schedules").await, 200)["schedules"][0]["name"], "nightly");
    assert!(is(&served.without_body("POST", &format!("{path}/pause")).await, 200)["paused_at"].is_string());
    assert!(is(&served.without_body("POST", &format!("{path}/resume")).await, 200)["paused_at"].is_null());
    let made = is(&served.without_body("POST", &format!("{path}/run")).await, 200);
    let job = served.get(&format!("/v1/jobs/{}", made["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&job["kind"], &job["payload"]), (&json!("report"), &json!({ "n": 1 })));
    let bad = json!({ "every": "1s", "cron": "* * * * *", "job": { "kind": "k", "delay": "10s" } });
    assert_eq!(served.with("PUT", path, &bad).await.pointers(), ["/every", "/job/delay"]);
    assert_eq!(served.with("PUT", path, &json!({ "cron": "never", "job": { "kind": "k" } })).await.status, 422);
    assert_eq!(is(&served.without_body("DELETE", path).await, 200), json!({ "removed": true }));
    for reply in [served.get(path).await, served.without_body("POST", &format!("{path}/run")).await] {
        assert_eq!(reply.status, 404, "{reply:?}");
    }
}
