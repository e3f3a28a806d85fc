//! What a token may do, also where the queue is only in the body or in the row of a job; and what the audit says.

use crate::{
    http::{Reply, Served},
    tokens::{Token, answer},
};
use leasehold_tests::Stores;
use serde_json::{Value, json};

const WORKER: &str = "0198c5a4-0000-7000-8000-000000000001";

const DRAIN: &str = "/v1/workers/0198c5a4-0000-7000-8000-000000000001/drain";
const URL: &str = "https://example.com/hooks";

/// Checks that the token lacks this scope.
fn lacks(reply: &Reply, scope: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (403, "forbidden"), "{scope}: {reply:?}");
    let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.ends_with(&format!("the scope {scope}")), "{scope}: {reply:?}");
}

fn is(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enqueues_only_where_it_may() {
    let stores = Stores::start().await;
    let (mail, admin) =
        (Token::create(&stores, &["enqueue:mail", "enqueue:shop-*"]), Token::create(&stores, &["admin"]));
    let api = &Served::start(&stores).api;
    for queue in ["mail", "shop-1"] {
        is(&mail.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": queue })).await, 201);
    }
    let refused = mail.post(api, "/v1/jobs", &json!({ "kind": "k" })).await;
    lacks(&refused, "enqueue:default");
    assert_eq!(refused.pointers(), ["/queue"]);
    let several = json!({ "jobs": [
        { "kind": "k", "queue": "mail" }, { "kind": "k", "queue": "a" }, { "kind": "k", "queue": "shop-2" }, { "kind": "k" },
    ] });
    let refused = mail.post(api, "/v1/jobs", &several).await;
    assert_eq!(
        (refused.status, refused.pointers()),
        (403, vec!["/jobs/1/queue".to_owned(), "/jobs/3/queue".to_owned()])
    );
    assert!(refused.text.contains("enqueue:a") && refused.text.contains("enqueue:default"), "{refused:?}");
    let graph = json!({ "jobs": [
        { "name": "a", "kind": "k", "queue": "mail" }, { "name": "b", "kind": "k", "queue": "other", "after": ["a"] },
    ] });
    let refused = mail.post(api, "/v1/graphs", &graph).await;
    lacks(&refused, "enqueue:other");
    assert_eq!(refused.pointers(), ["/jobs/1/queue"]);
    let refused = mail.send_with(api, "POST", "/v1/graphs", &graph, &[("idempotency-key", "key")]).await;
    lacks(&refused, "enqueue:other");
    let jobs = is(&admin.get(api, "/v1/jobs").await, 200);
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(2), "nothing else was enqueued: {jobs}");
    // A delivery is sent and signed, no matter which client made it.
    let all = Token::create(&stores, &["enqueue", "work"]);
    let forged = json!({ "kind": "wh_1", "queue": "leasehold.webhooks" });
    lacks(&all.post(api, "/v1/jobs", &forged).await, "admin");
    let claim = json!({ "worker": WORKER, "wait_ms": 0 });
    lacks(&all.post(api, "/v1/queues/leasehold.webhooks/claim", &claim).await, "admin");

    let foreign = is(&admin.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": "other", "batch": "b" })).await, 201);
    let path = format!("/v1/jobs/{}", foreign["id"].as_str().expect("an id"));
    lacks(&mail.post(api, &format!("{path}/cancel"), &Value::Null).await, "enqueue:other");
    lacks(&mail.post(api, &format!("{path}/priority"), &json!({ "priority": 1 })).await, "enqueue:other");
    lacks(&mail.post(api, &format!("{path}/retry"), &Value::Null).await, "admin");
    lacks(&mail.get(api, &path).await, "read");
    lacks(&mail.post(api, "/v1/batches/b/cancel", &Value::Null).await, "enqueue");
    lacks(&mail.post(api, "/v1/batches/b/seal", &json!({})).await, "enqueue");
    lacks(&mail.post(api, "/v1/queues/mail/claim", &json!({ "worker": WORKER })).await, "work:mail");
    assert_eq!(is(&admin.get(api, &path).await, 200)["state"], "queued");
    let own = is(&mail.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": "mail" })).await, 201);
    let path = format!("/v1/jobs/{}", own["id"].as_str().expect("an id"));
    is(&mail.post(api, &format!("{path}/priority"), &json!({ "priority": 1 })).await, 200);
    is(&mail.post(api, &format!("{path}/cancel"), &Value::Null).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_only_for_its_queues() {
    let stores = Stores::start().await;
    let (own, all) = (Token::create(&stores, &["work:mine", "enqueue:next"]), Token::create(&stores, &["admin"]));
    let api = &Served::start(&stores).api;
    for queue in ["mine", "mine", "other"] {
        is(&all.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": queue })).await, 201);
    }
    // A client that knows the worker and the claim gets only those runs that are in the queue of its token.
    let named = json!({ "worker": WORKER, "max": 1, "claim_id": "c-1", "wait_ms": 0 });
    let foreign = is(&all.post(api, "/v1/queues/other/claim", &named).await, 200)["jobs"].clone();
    assert_eq!(foreign.as_array().map(Vec::len), Some(1), "{foreign}");
    let stolen = is(&own.post(api, "/v1/queues/mine/claim", &named).await, 200)["jobs"].clone();
    assert!(stolen.as_array().expect("jobs").iter().all(|job| job["queue"] == "mine"), "{stolen}");
    for job in foreign.as_array().into_iter().chain(stolen.as_array()).flatten() {
        let path = format!("/v1/jobs/{}/release", job["id"].as_str().expect("an id"));
        is(&all.post(api, &path, &json!({ "worker": WORKER, "epoch": job["epoch"] })).await, 200);
    }
    let claim = json!({ "worker": WORKER, "max": 2 });
    lacks(&own.post(api, "/v1/queues/other/claim", &claim).await, "work:other");
    // The path is decoded before the check.
    is(
        &own.post(
            api,
            "/v1/queues/%6dine/claim",
            &json!({ "worker": WORKER, "max": 1, "wait_ms": 0, "kinds": ["none"] }),
        )
        .await,
        200,
    );
    let mut mine = Vec::new();
    while mine.len() < 2 {
        let claimed = is(&own.post(api, "/v1/queues/mine/claim", &claim).await, 200);
        mine.extend(claimed["jobs"].as_array().expect("jobs").clone());
    }
    let other = is(&all.post(api, "/v1/queues/other/claim", &claim).await, 200)["jobs"][0].clone();
    let fence = |job: &Value| json!({ "worker": job["worker"], "epoch": job["epoch"] });
    let path = |job: &Value, what: &str| format!("/v1/jobs/{}/{what}", job["id"].as_str().expect("an id"));

    for what in ["renew", "complete", "snooze", "release"] {
        lacks(&own.post(api, &path(&other, what), &fence(&other)).await, "work:other");
    }
    let mut told = fence(&other);
    told["progress"] = json!(0.5);
    lacks(&own.post(api, &path(&other, "progress"), &told).await, "work:other");
    let mut fail = fence(&other);
    fail["error"] = json!("no");
    lacks(&own.post(api, &path(&other, "fail"), &fail).await, "work:other");
    let runs = |outcome: Option<&str>| {
        let run = |job: &Value| match outcome {
            Some(outcome) => json!({ "id": job["id"], "epoch": job["epoch"], "outcome": outcome }),
            None => json!({ "id": job["id"], "epoch": job["epoch"] }),
        };
        json!({ "worker": WORKER, "runs": [run(&other), run(&mine[0])] })
    };
    let renewed = is(&own.post(api, "/v1/leases/renew", &runs(None)).await, 200);
    assert_eq!(renewed["runs"][0]["error"]["code"], "forbidden", "{renewed}");
    assert_eq!(renewed["runs"][1]["renewed"], true, "{renewed}");
    let settled = is(&own.post(api, "/v1/jobs/settle", &runs(Some("complete"))).await, 200);
    assert_eq!(settled["runs"][0]["error"]["code"], "forbidden", "{settled}");
    let pointer = &settled["runs"][0]["error"]["details"][0]["pointer"];
    assert_eq!(pointer, "/headers/authorization", "the header is that of the whole request: {settled}");
    assert_eq!(settled["runs"][1]["state"], "succeeded", "{settled}");
    let state = |job: &Value| {
        let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
        let all = all.clone();
        async move { is(&all.get(api, &path).await, 200)["state"].clone() }
    };
    assert_eq!(state(&other).await, "running", "its run goes on");

    let mut end = fence(&mine[1]);
    end["enqueue"] = json!([{ "kind": "k", "queue": "next" }, { "kind": "k", "queue": "mine" }]);
    let refused = own.post(api, &path(&mine[1], "complete"), &end).await;
    lacks(&refused, "enqueue:mine");
    assert_eq!(refused.pointers(), ["/enqueue/1/queue"]);
    assert_eq!(state(&mine[1]).await, "running", "the run has not ended");
    end["enqueue"] = json!([{ "kind": "k", "queue": "next" }]);
    assert_eq!(is(&own.post(api, &path(&mine[1], "complete"), &end).await, 200)["state"], "succeeded");
    assert_eq!(is(&own.post(api, &path(&mine[1], "complete"), &end).await, 200)["already"], true);
    lacks(&own.get(api, "/v1/jobs?queue=mine").await, "read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reads_only_what_it_may() {
    let stores = Stores::start().await;
    let (all, own, admin) =
        (Token::create(&stores, &["read"]), Token::create(&stores, &["read:a"]), Token::create(&stores, &["admin"]));
    let api = &Served::start(&stores).api;
    let mut paths = Vec::new();
    for queue in ["a", "b"] {
        let job = is(&admin.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": queue })).await, 201);
        paths.push(format!("/v1/jobs/{}", job["id"].as_str().expect("an id")));
    }
    for what in ["", "/explain", "/wait?timeout_ms=0"] {
        let found = own.get(api, &format!("{}{what}", paths[0])).await;
        assert!([200, 202].contains(&found.status), "{found:?}");
        lacks(&own.get(api, &format!("{}{what}", paths[1])).await, "read:b");
        let found = all.get(api, &format!("{}{what}", paths[1])).await;
        assert!([200, 202].contains(&found.status), "{found:?}");
    }
    assert_eq!(is(&own.get(api, "/v1/jobs?queue=a").await, 200)["jobs"].as_array().map(Vec::len), Some(1));
    lacks(&own.get(api, "/v1/jobs?queue=b").await, "read:b");
    lacks(&own.get(api, "/v1/jobs").await, "read");
    for path in [
        "/v1/queues",
        "/v1/queues/a/weights",
        "/v1/stats",
        "/v1/workers",
        "/v1/limits",
        "/v1/schedules",
        "/v1/batches",
        "/v1/webhooks",
        "/metrics",
    ] {
        lacks(&own.get(api, path).await, "read");
        assert_eq!(all.get(api, path).await.status, 200, "{path}");
    }
    for (method, path) in [
        ("POST", "/v1/queues/a/pause"),
        ("POST", "/v1/queues/a/purge"),
        ("PATCH", "/v1/queues/a"),
        ("PUT", "/v1/limits/k"),
        ("DELETE", "/v1/limits/k"),
        ("PUT", "/v1/schedules/s"),
        ("POST", "/v1/schedules/s/run"),
        ("PUT", "/v1/queues/a/weights"),
        ("POST", DRAIN),
        ("POST", "/v1/webhooks"),
        ("PATCH", "/v1/webhooks/w"),
        ("DELETE", "/v1/webhooks/w"),
        ("POST", "/v1/webhooks/w/rotate"),
        ("POST", "/v1/webhooks/w/test"),
        ("POST", "/v1/webhooks/w/replay"),
    ] {
        lacks(&all.send(api, method, path, &json!({})).await, "admin");
    }
    let audit = answer(&stores, &["audit", "list"]);
    assert!(audit.as_array().expect("rows").iter().all(|row| row["action"] == "token.create"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_who_has_changed_what() {
    let stores = Stores::start().await;
    let open = Served::start(&stores);
    is(&open.post("/v1/queues/q/pause", &json!({ "kind": "k" })).await, 200);
    drop(open);
    let admin = Token::create(&stores, &["admin"]);
    let api = &Served::start(&stores).api;
    for (method, path, body) in [
        ("POST", "/v1/queues/q/resume", json!({})),
        ("POST", "/v1/queues/q/purge", Value::Null),
        ("PATCH", "/v1/queues/q", json!({ "keep_days": 3 })),
        ("PUT", "/v1/limits/tenant", json!({ "running": 1 })),
        ("DELETE", "/v1/limits/tenant", Value::Null),
        ("PUT", "/v1/schedules/s", json!({ "every": "1h", "job": { "kind": "k" } })),
        ("POST", "/v1/schedules/s/pause", Value::Null),
        ("POST", "/v1/schedules/s/resume", Value::Null),
        ("POST", "/v1/schedules/s/run", Value::Null),
        ("DELETE", "/v1/schedules/s", Value::Null),
        ("PUT", "/v1/queues/q/weights", json!({ "fair_key": "tenant", "weight": 2.0 })),
        ("POST", DRAIN, Value::Null),
        ("POST", "/v1/webhooks", json!({ "id": "w", "url": URL, "queue": "q" })),
        ("PATCH", "/v1/webhooks/w", json!({ "enabled": false })),
        ("POST", "/v1/webhooks/w/rotate", json!({})),
        ("POST", "/v1/webhooks/w/replay", json!({ "since": "2030-01-31T08:00:00Z" })),
        ("DELETE", "/v1/webhooks/w", Value::Null),
    ] {
        let reply = admin.send(api, method, path, &body).await;
        let status = if (method, path) == ("POST", "/v1/webhooks") { 201 } else { 200 };
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    }
    is(&admin.post(api, "/v1/jobs", &json!({ "kind": "k", "batch": "b" })).await, 201);
    is(&admin.post(api, "/v1/batches/b/cancel", &Value::Null).await, 200);
    // A request that is refused changes nothing, and is not in the audit.
    assert_eq!(admin.send(api, "PATCH", "/v1/queues/q", &json!({ "keep_days": 0 })).await.status, 422);
    for arguments in [
        &["queue", "pause", "q"][..],
        &["queue", "resume", "q"],
        &["queue", "weight", "q", "tenant", "2"],
        &["queue", "pause", "q", "--fair-key", "tenant"],
        &["queue", "resume", "q", "--fair-key", "tenant"],
        &["queue", "set", "q", "--keep-days", "4"],
        &["queue", "purge", "q", "--yes"],
        &["limit", "set", "tenant", "--running", "2"],
        &["limit", "remove", "tenant"],
        &["job", "cancel", "--queue", "q", "--yes"],
        &["schedule", "set", "s", "--every", "1h", "--kind", "k"],
        &["schedule", "pause", "s"],
        &["schedule", "resume", "s"],
        &["schedule", "run", "s"],
        &["schedule", "remove", "s"],
        &["batch", "cancel", "b"],
        &["webhook", "set", "w", "--url", URL],
        &["webhook", "set", "w", "--disable"],
        &["webhook", "rotate", "w"],
        &["webhook", "replay", "w", "--since", "2h"],
        &["webhook", "remove", "w"],
    ] {
        answer(&stores, arguments);
    }
    let rows = answer(&stores, &["audit", "list", "--since", "1h"]);
    let rows = rows.as_array().expect("rows");
    let by = |actor: &str| -> Vec<String> {
        let row = |row: &&Value| row["actor"].as_str().is_some_and(|by| by.starts_with(actor));
        let text = |row: &Value| format!("{} {}", row["action"], row["target"]).replace('"', "");
        rows.iter().rev().filter(row).map(text).collect()
    };
    assert_eq!(by("http"), ["queue.pause q"]);
    assert_eq!(
        by(&format!("token:{}", admin.id)),
        [
            "queue.resume q",
            "queue.purge q",
            "queue.set q",
            "limit.set tenant",
            "limit.remove tenant",
            "schedule.set s",
            "schedule.pause s",
            "schedule.resume s",
            "schedule.run s",
            "schedule.remove s",
            "queue.weight q",
            &format!("worker.drain {WORKER}"),
            "webhook.set w",
            "webhook.set w",
            "webhook.rotate w",
            "webhook.replay w",
            "webhook.remove w",
            "batch.cancel b",
        ]
    );
    let made = format!("token.create {}", admin.id);
    assert_eq!(
        by("cli:"),
        [
            made.as_str(),
            "queue.pause q",
            "queue.resume q",
            "queue.weight q",
            "queue.pause q",
            "queue.resume q",
            "queue.set q",
            "queue.purge q",
            "limit.set tenant",
            "limit.remove tenant",
            "job.bulk cancel",
            "schedule.set s",
            "schedule.pause s",
            "schedule.resume s",
            "schedule.run s",
            "schedule.remove s",
            "batch.cancel b",
            "webhook.set w",
            "webhook.set w",
            "webhook.rotate w",
            "webhook.replay w",
            "webhook.remove w",
        ]
    );
    assert!(rows.iter().all(|row| !row.to_string().contains("whsec_")), "no secret is in the audit: {rows:?}");
    let first = rows.last().expect("a row");
    assert_eq!((&first["actor"], &first["detail"]["kind"]), (&json!("http"), &json!("k")));
    assert_eq!(answer(&stores, &["audit", "list", "--limit", "2"]).as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_the_scopes() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let described = served.get("/v1/openapi.json").await.json();
    assert_eq!(described["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            assert!(operation["security"][0]["token"][0].is_string(), "{method} {path}");
            for status in ["401", "403", "429"] {
                assert!(operation["responses"][status]["description"].is_string(), "{method} {path} {status}");
            }
        }
    }
    let claim = &described["paths"]["/v1/queues/{queue}/claim"]["post"];
    assert_eq!(claim["security"][0]["token"][0], "work:QUEUE");
    assert_eq!(claim["responses"]["429"]["description"], "Too many claims wait", "what a route says itself stays");
}
