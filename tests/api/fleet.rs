//! The workers that claim over HTTP, as operators see them, and their drain.

use crate::{
    claims::jobs,
    http::{Reply, Served, request, send},
    member::SOON,
};
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

impl Served {
    /// The worker of this id, as `/v1/workers` shows it.
    async fn worker(&self, id: Uuid) -> Option<Value> {
        let workers = self.get("/v1/workers").await.json();
        let workers = workers["workers"].as_array().cloned().expect("workers");
        workers.into_iter().find(|worker| worker["id"] == json!(id))
    }

    async fn drain(&self, id: Uuid) -> Reply {
        send(self.api.address(), &request("POST", &format!("/v1/workers/{id}/drain"), &[], "")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_http_worker_is_shown_with_its_runs() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let (busy, waiting) = (Uuid::now_v7(), Uuid::now_v7());
    for kind in ["a", "a", "z"] {
        served.enqueue(kind).await;
    }
    let held = served.claim(json!({ "worker": busy, "kinds": ["a"], "max": 2 })).await;
    let waits = served.claim(json!({ "worker": waiting, "kinds": ["b"], "wait_ms": 20_000 }));
    let looks = async {
        let shown = eventually("both workers are shown", SOON, || async {
            match (served.worker(busy).await, served.worker(waiting).await) {
                (Some(busy), Some(waiting)) if waiting["http"]["waiting"] == 1 && busy["running"] == held.len() => {
                    Ok((busy, waiting))
                }
                others => Err(others),
            }
        })
        .await;
        let (busy, waiting) = shown;
        assert_eq!((&busy["kinds"], &waiting["kinds"]), (&json!(["a"]), &json!(["b"])));
        assert_eq!(busy["queues"][0][0], "default");
        assert!(busy["http"]["last_claim_at"].is_string() && busy["draining"] == false, "{busy}");
        // `explain` knows that no worker serves z, and that a worker serves b.
        let explained = async |id: &str| served.get(&format!("/v1/jobs/{id}/explain")).await.text;
        let unserved = served.enqueue("z").await;
        assert!(explained(&unserved).await.contains("no_handler"), "{}", explained(&unserved).await);
        let served_kind = served.enqueue("b").await;
        let text = explained(&served_kind).await;
        assert!(!text.contains("no_handler") && !text.contains("no_worker"), "{text}");
    };
    let (got, ()) = tokio::join!(waits, looks);
    assert_eq!(got[0]["kind"], "b");
    assert_eq!(held.len(), 2);

    let described = served.get("/v1/openapi.json").await.json();
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let shown = served.worker(busy).await.expect("the worker");
    let schemas = &described["components"]["schemas"];
    assert_eq!(fields(&shown), fields(&schemas["WorkerView"]["properties"]));
    assert_eq!(fields(&shown["http"]), fields(&schemas["HttpWorkerView"]["properties"]));
}

/// A drain ends the claims that wait, at every server, and refuses new ones; runs continue.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_gets_no_more_jobs() {
    let stores = Stores::start().await;
    let (served, other) = (Served::start(&stores), Served::start(&stores));
    let (worker, neighbour) = (Uuid::now_v7(), Uuid::now_v7());
    served.enqueue("k").await;
    let claim = json!({ "worker": worker, "claim_id": "first" });
    let job = served.claim(claim.clone()).await.pop().expect("the job");
    let renewed = async || served.end(&job, "renew", json!({})).await.json();
    assert_eq!(renewed().await["quiet"], false);
    let waits = |at: &'static str| json!({ "worker": worker, "wait_ms": 50_000, "claim_id": at });
    let begun = tokio::time::Instant::now();
    // The server that announces the worker, while a claim waits there.
    let waits_at = async |not: &str| {
        eventually("a claim waits", SOON, || async {
            match other.worker(worker).await {
                Some(shown) if shown["http"]["waiting"] == 1 && shown["http"]["server"] != not => {
                    Ok(shown["http"]["server"].as_str().expect("a server").to_owned())
                }
                shown => Err(shown),
            }
        })
        .await
    };
    // A claim may be shown as waiting a moment before its server asks whether the worker is drained, and is then refused.
    let gets_none = async |at: &Served, claim_id: &'static str| {
        let reply = at.post("/v1/queues/default/claim", &waits(claim_id)).await;
        reply.status == 409 && reply.code() == "draining" || jobs(&reply).is_empty()
    };
    let here_and_drain = async {
        let there = waits_at("").await;
        let drains = async {
            waits_at(&there).await;
            assert_eq!(served.drain(worker).await.json(), json!({ "worker": worker, "draining": true }));
            assert_eq!(served.drain(worker).await.status, 200, "again");
        };
        tokio::join!(gets_none(&served, "here"), drains).0
    };
    let (there, here) = tokio::join!(gets_none(&other, "there"), here_and_drain);
    assert!(here && there);
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    served.enqueue("k").await;
    for served in [&served, &other] {
        let refused = served.post("/v1/queues/default/claim", &waits("new")).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, "draining"));
    }
    assert_eq!(renewed().await["quiet"], true);
    let all = json!({ "worker": worker, "runs": [{ "id": job["id"], "epoch": job["epoch"] }] });
    assert_eq!(other.post("/v1/leases/renew", &all).await.json()["quiet"], true);
    // A lost answer can still be asked for.
    assert_eq!(served.claim(claim).await.len(), 1);
    assert_eq!(served.end(&job, "complete", json!({})).await.status, 200);
    assert_eq!(served.claim(json!({ "worker": neighbour })).await.len(), 1, "others get jobs");
    // A server that starts later knows it from the first claim on.
    let later = Served::start(&stores);
    assert_eq!(later.post("/v1/queues/default/claim", &waits("later")).await.code(), "draining");
    let rust =
        crate::member::Member::start(&stores, &stores.database.url, &["worker", "--queue", "q", "--exec", "*=true"]);
    let ours = eventually("the other worker is shown", SOON, || async {
        let workers = served.get("/v1/workers").await.json();
        let found = workers["workers"].as_array().and_then(|all| all.iter().find(|one| one["http"].is_null()).cloned());
        found.and_then(|worker| worker["id"].as_str()?.parse().ok()).ok_or(workers)
    })
    .await;
    assert_eq!(served.drain(ours).await.code(), "conflict");
    drop(rust);
}
