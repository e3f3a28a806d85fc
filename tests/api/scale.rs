//! The scaling signal over HTTP: `GET /v1/queues/{queue}/scale`.

use crate::{
    http::{Reply, Served, request, send},
    member::{Member, SOON},
};
use leasehold_tests::{LinkState, Proxy, Stores, eventually};
use serde_json::{Value, json};

fn is(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    reply.json()
}

fn numbers(scale: &Value) -> Value {
    json!([scale["demand"], scale["waiting"], scale["running"], scale["slots"], scale["suggested_replicas"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_never_used_has_the_demand_0() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let scale = is(&served.get("/v1/queues/never/scale").await, 200);
    let nothing = json!({
        "queue": "never", "demand": 0, "waiting": 0, "running": 0, "draining": 0, "workers": 0, "slots": 0,
        "oldest_s": null, "drain_s": 0.0, "suggested_replicas": 0,
    });
    assert_eq!(scale, nothing);
    let bounded = is(&served.get("/v1/queues/never/scale?slots_per_replica=4&min=2").await, 200);
    assert_eq!(bounded["suggested_replicas"], 2);
    let without = is(&served.get("/v1/queues/never/scale?slots_per_replica=4").await, 200);
    assert_eq!(without["suggested_replicas"], 0);

    let described = served.get("/v1/openapi.json").await.json();
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let parts = described["components"]["schemas"]["Scale"]["allOf"].as_array().cloned().expect("two parts");
    let mut known = fields(&described["components"]["schemas"]["DemandView"]["properties"]);
    known.extend(
        parts.iter().filter(|part| part["properties"].is_object()).flat_map(|part| fields(&part["properties"])),
    );
    known.sort_unstable();
    assert_eq!(fields(&scale), known, "the description: {parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_counts_jobs_and_workers_and_suggests_replicas() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for _ in 0..20 {
        served.enqueue("k").await;
    }
    let scale = is(&served.get("/v1/queues/default/scale?slots_per_replica=4").await, 200);
    assert_eq!(
        numbers(&scale),
        json!([20, 20, 0, 0, 6]),
        "without workers every kind counts, so that a first one can start"
    );
    assert!(scale["oldest_s"].is_f64() && scale["drain_s"].is_null(), "{scale}");
    let most = is(&served.get("/v1/queues/default/scale?slots_per_replica=4&max=5").await, 200);
    assert_eq!(most["suggested_replicas"], 5);

    let arguments = ["worker", "--queue", "default=4", "--exec", "k=sleep 300"];
    let worker = Member::start(&stores, &stores.database.url, &arguments);
    eventually("four jobs run", SOON, || async {
        let scale = served.get("/v1/queues/default/scale").await.json();
        if numbers(&scale) == json!([20, 16, 4, 4, 6]) { Ok(()) } else { Err(scale) }
    })
    .await;
    served.enqueue("nobody-serves-it").await;
    let paused = served.post("/v1/queues/default/pause", &json!({ "kind": "k" })).await;
    is(&paused, 200);
    let scale = is(&served.get("/v1/queues/default/scale").await, 200);
    assert_eq!(numbers(&scale), json!([4, 0, 4, 4, 2]), "a paused kind, and a kind that nobody serves: {scale}");

    worker.terminate();
    let drains = json!([0, 0, 0, 0, 0]);
    let scale = eventually("the worker drains", SOON, || async {
        let scale = served.get("/v1/queues/default/scale").await.json();
        if numbers(&scale) == drains { Ok(scale) } else { Err(scale) }
    })
    .await;
    assert_eq!((&scale["draining"], &scale["workers"]), (&json!(4), &json!(0)), "{scale}");
    drop(worker);
}

/// The scaler `metrics-api` of KEDA reads one number by a path of GJSON.
#[tokio::test(flavor = "multi_thread")]
async fn every_number_has_a_path_of_gjson() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    served.enqueue("k").await;
    let text = served.get("/v1/queues/default/scale?slots_per_replica=1&min=3").await.text;
    for (path, wanted) in
        [("demand", 1.0), ("waiting", 1.0), ("running", 0.0), ("slots", 0.0), ("suggested_replicas", 3.0)]
    {
        let found = gjson::get(&text, path);
        assert!(found.exists() && found.kind() == gjson::Kind::Number, "{path}: {text}");
        assert_eq!(found.f64(), wanted, "{path}: {text}");
    }
    let guide =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kubernetes.md")).expect("the guide");
    assert!(guide.contains("valueLocation: demand\n"), "the guide names the path");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gauge_shows_the_demand_of_queues_with_jobs_or_workers() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for _ in 0..3 {
        served.enqueue("k").await;
    }
    let worker = Member::start(&stores, &stores.database.url, &["worker", "--queue", "idle=2", "--exec", "k=true"]);
    let redis = Proxy::start(stores.redis.server().port()).await;
    let url = redis.instead_of(&stores.redis.url);
    for role in ["reaper", "api"] {
        let wanted = [("default", 3.0), ("idle", 0.0)];
        let member = Member::start_with(&stores, &stores.database.url, &[role], &[("LEASEHOLD_REDIS_URL", &url)]);
        // An answer holds for ten seconds.
        eventually("the demand of both queues", SOON, || async {
            let metrics = member.metrics().await;
            let of = |queue: &str| metrics.get(&format!("leasehold_queue_demand{{queue=\"{queue}\"}}")).copied();
            if wanted.iter().all(|(queue, demand)| of(queue) == Some(*demand)) { Ok(()) } else { Err((role, metrics)) }
        })
        .await;
        redis.set(LinkState::Shut);
        eventually("no demand while Redis is unavailable", SOON, || async {
            let metrics = member.metrics().await;
            let named = metrics.keys().any(|name| name.starts_with("leasehold_queue_demand"));
            if named { Err((role, metrics)) } else { Ok(()) }
        })
        .await;
        redis.set(LinkState::Open);
    }
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_named() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let reply = served.get("/v1/queues/default/scale?slots_per_replica=0&min=-1&max=x&more=1").await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "invalid"));
    assert_eq!(reply.pointers(), ["/query/slots_per_replica", "/query/min", "/query/max", "/query/more"], "{reply:?}");
    let reply = served.get("/v1/queues/default/scale?min=3&max=2").await;
    assert_eq!(reply.pointers(), ["/query/max"], "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_store_is_unavailable_the_demand_is_not_known() {
    let stores = Stores::start().await;
    let postgres = Proxy::start(stores.database.server().port()).await;
    let redis = Proxy::start(stores.redis.server().port()).await;
    let url = redis.instead_of(&stores.redis.url);
    let settings = [("LEASEHOLD_REDIS_URL", url.as_str())];
    let api = Member::start_with(&stores, &postgres.instead_of(&stores.database.url), &["api"], &settings);
    let ask = || async { send(api.address(), &request("GET", "/v1/queues/default/scale", &[], "")).await };
    assert_eq!(is(&ask().await, 200)["demand"], 0);
    for proxy in [&postgres, &redis] {
        proxy.set(LinkState::Shut);
        let reply = ask().await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"), "{reply:?}");
        assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
        proxy.set(LinkState::Open);
        eventually("an answer again", SOON, || async {
            let reply = ask().await;
            if reply.status == 200 { Ok(()) } else { Err(reply) }
        })
        .await;
    }
}
