//! Workers in any language: they claim jobs and renew leases. `settles.rs` ends their runs.

use crate::{
    http::{Reply, Served, request, send},
    member::SOON,
};
use futures_util::future::join_all;
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};
use sqlx::Row;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) fn jobs(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["jobs"].as_array().cloned().expect("jobs")
}

impl Served {
    pub(crate) async fn claim(&self, mut body: Value) -> Vec<Value> {
        if body["wait_ms"].is_null() {
            body["wait_ms"] = json!(20_000);
        }
        jobs(&self.post("/v1/queues/default/claim", &body).await)
    }

    /// Ends a run that a claim has answered.
    pub(crate) async fn end(&self, job: &Value, verb: &str, more: Value) -> Reply {
        let mut body = json!({ "worker": job["worker"], "epoch": job["epoch"] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.post(&format!("/v1/jobs/{}/{verb}", job["id"].as_str().expect("an id")), &body).await
    }

    pub(crate) async fn state(&self, job: &Value) -> String {
        let job = self.get(&format!("/v1/jobs/{}", job["id"].as_str().expect("an id"))).await.json();
        job["state"].as_str().expect("a state").to_owned()
    }
}

pub(crate) fn settled(reply: &Reply) -> (u16, Value, Value) {
    (reply.status, reply.json()["state"].clone(), reply.json()["already"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_claim_to_result() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let worker = Uuid::now_v7();
    let body = r#"{"kind":"k","payload":{"big":12345678901234567890123},"timeout":"30s"}"#;
    let id = served.post_text("/v1/jobs", body).await.json()["id"].clone();
    let claimed = served.post("/v1/queues/default/claim", &json!({ "worker": worker, "max": 5 })).await;
    assert!(claimed.text.contains(r#""payload":{"big":12345678901234567890123}"#), "{claimed:?}");
    let job = jobs(&claimed).pop().expect("the job");
    assert_eq!((&job["id"], &job["worker"], &job["epoch"]), (&id, &json!(worker), &json!(1)));
    assert_eq!((&job["attempt"], &job["max_attempts"], &job["crashes"]), (&json!(1), &json!(5), &json!(0)));
    assert_eq!((&job["timeout_ms"], &job["kind"], &job["queue"]), (&json!(30_000), &json!("k"), &json!("default")));
    assert_eq!(job["parents"], json!([]));
    assert!(job["lease_expires_at"].is_string());

    let renewed = served.end(&job, "renew", json!({ "lease_ms": 60_000 })).await;
    assert_eq!((renewed.status, &renewed.json()["cancel_wanted"]), (200, &json!(false)));
    let done = served.end(&job, "complete", json!({ "result": { "n": 1 } })).await;
    assert_eq!(settled(&done), (200, json!("succeeded"), json!(false)));
    let again = served.end(&job, "complete", json!({ "result": { "n": 1 } })).await;
    assert_eq!(settled(&again), (200, json!("succeeded"), json!(true)), "the answer may have been lost");
    for (verb, more) in [("fail", json!({ "error": "x" })), ("release", json!({})), ("renew", json!({}))] {
        let other = served.end(&job, verb, more).await;
        assert_eq!((other.status, other.code().as_str()), (409, "lease_lost"), "{verb}");
    }
    let stranger = json!({ "id": id, "epoch": 1, "worker": Uuid::now_v7() });
    assert_eq!(served.end(&stranger, "complete", json!({})).await.code(), "lease_lost");
    let shown = served.get(&format!("/v1/jobs/{}", id.as_str().expect("an id"))).await.json();
    assert_eq!((&shown["state"], &shown["result"]), (&json!("succeeded"), &json!({ "n": 1 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_renewed_and_ended_in_one_request() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let many: Vec<Value> = (0..20).map(|n| json!({ "kind": "k", "payload": n })).collect();
    served.post("/v1/jobs", &json!({ "jobs": many })).await;
    let worker = Uuid::now_v7();
    let mut held = Vec::new();
    while held.len() < 20 {
        held.extend(served.claim(json!({ "worker": worker, "max": 20 })).await);
    }
    for (path, runs) in [("/v1/leases/renew", json!({})), ("/v1/jobs/settle", json!({ "runs": null }))] {
        let mut body = runs;
        body["worker"] = json!(worker);
        assert_eq!(served.post(path, &body).await.pointers(), ["/runs"], "{path}");
    }
    let fence = |job: &Value| json!({ "id": job["id"], "epoch": job["epoch"] });
    let mut runs: Vec<Value> = held.iter().map(fence).collect();
    runs.push(json!({ "id": held[0]["id"], "epoch": 7 }));
    let renewed = served.post("/v1/leases/renew", &json!({ "worker": worker, "runs": runs })).await.json();
    let renewed = renewed["runs"].as_array().cloned().expect("answers");
    assert!(renewed[..20].iter().all(|run| run["renewed"] == true && run["cancel_wanted"] == false), "{renewed:?}");
    assert_eq!(renewed[20]["error"]["code"], "lease_lost");
    let end = |(nth, job): (usize, &Value)| {
        let mut run = fence(job);
        run["outcome"] = json!(["complete", "fail", "snooze", "release"][nth % 4]);
        match nth % 4 {
            0 => run["result"] = json!(nth),
            1 => run["error"] = json!("no"),
            _ => {}
        }
        run
    };
    let ends: Vec<Value> = held.iter().enumerate().map(end).collect();
    for already in [false, true] {
        let body = json!({ "worker": worker, "runs": ends });
        let answer = served.post("/v1/jobs/settle", &body).await.json();
        let answers = answer["runs"].as_array().cloned().expect("answers");
        for (nth, answer) in answers.iter().enumerate() {
            let state = ["succeeded", "scheduled", "scheduled", "queued"][nth % 4];
            assert_eq!((&answer["id"], &answer["state"]), (&held[nth]["id"], &json!(state)), "{answer}");
            assert_eq!(answer["already"], already, "{answer}");
        }
    }
    let bad =
        json!({ "worker": worker, "runs": [{ "id": held[0]["id"], "epoch": 1, "outcome": "win" }, { "epoch": 1 }] });
    let reply = served.post("/v1/jobs/settle", &bad).await;
    assert_eq!(reply.pointers(), ["/runs/0/outcome", "/runs/1/id", "/runs/1/outcome"], "{reply:?}");
}

/// A claim that waits gets a job soon after it was enqueued, and each claim the kinds that it asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_a_job_of_its_kinds() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let begun = Instant::now();
    assert!(served.claim(json!({ "worker": Uuid::now_v7(), "kinds": ["a"], "wait_ms": 300 })).await.is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(served.claim(json!({ "worker": Uuid::now_v7(), "kinds": ["a"], "wait_ms": 0 })).await.is_empty());
    let claim = |kinds: Value| served.claim(json!({ "worker": Uuid::now_v7(), "kinds": kinds, "wait_ms": 30_000 }));
    let enqueue = async {
        // The claims are under way: the announcement of their lane says both kinds.
        eventually("both claims wait", SOON, || async {
            let record = announced(&stores).await;
            if record.contains("\"a\"") && record.contains("\"b\"") { Ok(()) } else { Err(record) }
        })
        .await;
        let begun = Instant::now();
        served.enqueue("b").await;
        served.enqueue("a").await;
        begun
    };
    let (a, b, begun) = tokio::join!(claim(json!(["a"])), claim(json!(["b", "c"])), enqueue);
    assert_eq!((&a[0]["kind"], &b[0]["kind"]), (&json!("a"), &json!("b")));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// One statement claims for many workers. Each job goes to one of them, and a claim with an id can be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn many_workers_that_wait_get_one_job_each() {
    const WORKERS: usize = 80;
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let claim = |nth: usize| {
        let worker = Uuid::now_v7();
        match nth % 2 {
            0 => json!({ "worker": worker, "wait_ms": 30_000, "claim_id": format!("c-{nth}") }),
            _ => json!({ "worker": worker, "wait_ms": 30_000 }),
        }
    };
    let claims: Vec<Value> = (0..WORKERS).map(claim).collect();
    let enqueue = async {
        until_waiting(&served, WORKERS).await;
        let jobs = vec![json!({ "kind": "k" }); WORKERS];
        assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    };
    let (answers, ()) = tokio::join!(join_all(claims.iter().map(|claim| served.claim(claim.clone()))), enqueue);
    let id = |job: &Value| job["id"].as_str().expect("an id").to_owned();
    assert!(answers.iter().all(|jobs| jobs.len() == 1), "{answers:?}");
    let ids: BTreeSet<String> = answers.iter().flatten().map(id).collect();
    assert_eq!(ids.len(), WORKERS, "two workers have the same job");
    for (claim, before) in claims.iter().zip(&answers).step_by(2) {
        let again = served.claim(claim.clone()).await;
        assert_eq!((id(&again[0]), &again[0]["epoch"]), (id(&before[0]), &before[0]["epoch"]));
    }
    assert_eq!(served.api.metrics().await["leasehold_claims_waiting"], 0.0);
}

/// The same for jobs with a limit key: the limit holds, and a worker that ends its job makes room for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_wait_keep_to_a_limit() {
    const JOBS: usize = 20;
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut postgres = stores.database.connect().await;
    sqlx::query("SELECT leasehold.set_limit('tenant', 2, NULL, NULL)").execute(&mut postgres).await.expect("a limit");
    let work = |_| async {
        let job = served.claim(json!({ "worker": Uuid::now_v7(), "wait_ms": 30_000 })).await.pop().expect("a job");
        let running = "SELECT count(*) FROM leasehold.job WHERE state = 'running'";
        let mut postgres = stores.database.connect().await;
        let count: i64 = sqlx::query_scalar(running).fetch_one(&mut postgres).await.expect("a count");
        assert_eq!(served.end(&job, "complete", json!({})).await.status, 200);
        count
    };
    let enqueue = async {
        until_waiting(&served, JOBS).await;
        let jobs = vec![json!({ "kind": "k", "limit_keys": ["tenant"] }); JOBS];
        assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    };
    let (counts, ()) = tokio::join!(join_all((0..JOBS).map(work)), enqueue);
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
}

async fn until_waiting(served: &Served, count: usize) {
    eventually("all claims wait", SOON, || async {
        let waiting = served.api.metrics().await["leasehold_claims_waiting"];
        if waiting == count as f64 { Ok(()) } else { Err(waiting) }
    })
    .await;
}

/// What the workers of this Redis have announced.
async fn announced(stores: &Stores) -> String {
    let config = leasehold::Config::new(&stores.database.url, &stores.redis.url);
    let pair = leasehold_client::Pair::connect(&config, "test").await.expect("a pair");
    let workers = pair.handoff.expect("Redis").workers().await.expect("the workers");
    serde_json::to_string(&workers).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_claim_again_gives_the_same_runs() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for _ in 0..4 {
        served.enqueue("k").await;
    }
    let claim = json!({ "worker": Uuid::now_v7(), "max": 2, "claim_id": "c-1", "lease_ms": 5_000 });
    let first = served.claim(claim.clone()).await;
    assert_eq!(first.len(), 2);
    let fences = |jobs: &[Value]| jobs.iter().map(|job| (job["id"].clone(), job["epoch"].clone())).collect::<Vec<_>>();
    let mut longer = claim.clone();
    longer["lease_ms"] = json!(600_000);
    let again = served.claim(longer).await;
    assert_eq!(fences(&again), fences(&first));
    assert!(again[0]["lease_expires_at"].as_str() > first[0]["lease_expires_at"].as_str(), "the lease is new");
    served.end(&first[0], "complete", json!({})).await;
    assert_eq!(fences(&served.claim(claim.clone()).await), fences(&first[1..]), "what is settled is not given again");
    let other = served.claim(json!({ "worker": Uuid::now_v7(), "max": 5, "claim_id": "c-1" })).await;
    assert_eq!(other.len(), 2, "the id is of another worker");
}

/// The same claim several times at the same time, to one server and to two: it gets one set of jobs.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_claim_at_the_same_time_gives_the_same_runs() {
    let stores = Stores::start().await;
    let (served, other) = (Served::start(&stores), Served::start(&stores));
    for round in 0..15 {
        let many: Vec<Value> = (0..8).map(|_| json!({ "kind": "k" })).collect();
        assert_eq!(served.post("/v1/jobs", &json!({ "jobs": many })).await.status, 201);
        let claim = json!({ "worker": Uuid::now_v7(), "max": 2, "claim_id": format!("c-{round}") });
        let (a, b, c) =
            tokio::join!(served.claim(claim.clone()), served.claim(claim.clone()), other.claim(claim.clone()));
        let sql = "SELECT count(*), count(DISTINCT job) FROM leasehold.http_claim WHERE claim_id = $1";
        let rows = sqlx::query(sql).bind(format!("c-{round}")).fetch_one(&mut stores.database.connect().await).await;
        let (runs, distinct): (i64, i64) = rows.map(|row| (row.get(0), row.get(1))).expect(sql);
        let fences = |jobs: &[Value]| {
            let mut fences: Vec<_> = jobs.iter().map(|job| (job["id"].to_string(), job["epoch"].to_string())).collect();
            fences.sort();
            fences
        };
        assert_eq!((runs, distinct), (a.len() as i64, a.len() as i64), "{a:?} {b:?} {c:?}");
        assert_eq!((fences(&b), fences(&c)), (fences(&a), fences(&a)), "round {round}");
        for job in a {
            assert_eq!(served.end(&job, "complete", json!({})).await.status, 200);
        }
    }
}

/// The same claim waits at two servers, and each of them may get the hint of another job: both answers have the same jobs.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_claim_that_waits_at_two_servers_gives_the_same_runs() {
    let stores = Stores::start().await;
    let (served, other) = (Served::start(&stores), Served::start(&stores));
    let claim = json!({ "worker": Uuid::now_v7(), "max": 2, "claim_id": "both", "wait_ms": 8_000 });
    let enqueues = async {
        eventually("the claim waits", SOON, || async {
            let record = announced(&stores).await;
            if record.contains("\"waiting\":1") { Ok(()) } else { Err(record) }
        })
        .await;
        let many = json!({ "jobs": [{ "kind": "k" }, { "kind": "k" }] });
        assert_eq!(served.post("/v1/jobs", &many).await.status, 201);
    };
    let (here, there, ()) = tokio::join!(served.claim(claim.clone()), other.claim(claim.clone()), enqueues);
    let ids = |jobs: &[Value]| jobs.iter().map(|job| job["id"].to_string()).collect::<std::collections::BTreeSet<_>>();
    assert!(!here.is_empty(), "there are jobs");
    assert_eq!(ids(&here), ids(&there));
    let sql = "SELECT count(*) FROM leasehold.job WHERE state = 'running'";
    let running: i64 = sqlx::query(sql).fetch_one(&mut stores.database.connect().await).await.expect(sql).get(0);
    assert_eq!(usize::try_from(running), Ok(here.len()), "no job runs that the worker does not know");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_as_many_bytes_as_the_worker_wants() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let big = "x".repeat(100_000);
    let many: Vec<Value> = (0..6).map(|_| json!({ "kind": "k", "payload": big })).collect();
    served.post("/v1/jobs", &json!({ "jobs": many })).await;
    let mut seen = 0;
    while seen < 6 {
        let got = served.claim(json!({ "worker": Uuid::now_v7(), "max": 6, "max_bytes": 250_000 })).await;
        assert!((1..=2).contains(&got.len()), "{}", got.len());
        seen += got.len();
        for job in got {
            assert_eq!(job["attempt"], 1, "a job that did not fit has spent no attempt");
            assert_eq!(served.end(&job, "complete", json!({})).await.status, 200);
        }
    }
}

/// Without Redis, claims go to the line; with Redis again, to the head.
#[tokio::test(flavor = "multi_thread")]
async fn claims_outlast_an_outage_of_redis() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    stores.redis.server().kill();
    let (got, _) = tokio::join!(served.claim(json!({ "worker": Uuid::now_v7() })), served.enqueue("k"));
    assert_eq!(got.len(), 1);
    stores.redis.server().start_again().expect("starting Redis");
    for _ in 0..3 {
        let (got, _) = tokio::join!(served.claim(json!({ "worker": Uuid::now_v7() })), served.enqueue("k"));
        assert_eq!(got.len(), 1);
    }
    let crashes: i64 = sqlx::query("SELECT coalesce(sum(crashes), 0)::bigint FROM leasehold.job")
        .fetch_one(&mut stores.database.connect().await)
        .await
        .expect("crashes")
        .get(0);
    assert_eq!(crashes, 0);
}

/// Every statement of the interface works through a pooler in transaction mode.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_come_and_go_through_a_pooler() {
    let stores = Stores::start().await;
    let served = Served::start_through_pooler(&stores).await;
    for round in 0..3 {
        let many =
            json!({ "jobs": [{ "kind": "k" }, { "kind": "k", "limit_key": "a" }, { "kind": "k", "batch": "b" }] });
        let headers = [("content-type", "application/json"), ("idempotency-key", &*format!("round-{round}"))];
        let request = request("POST", "/v1/jobs", &headers, &many.to_string());
        let (first, again) = (send(served.api.address(), &request).await, send(served.api.address(), &request).await);
        assert_eq!((first.status, &first.text), (201, &again.text), "{first:?}");
        let (worker, mut done) = (Uuid::now_v7(), 0);
        while done < 3 {
            let claim = json!({ "worker": worker, "max": 3, "claim_id": format!("{round}-{done}") });
            let held = served.claim(claim.clone()).await;
            assert_eq!(served.claim(claim).await.len(), held.len(), "the same claim again");
            for job in held {
                assert_eq!(served.end(&job, "renew", json!({})).await.status, 200);
                assert_eq!(served.end(&job, "complete", json!({ "result": round })).await.status, 200);
                done += 1;
            }
        }
    }
    assert_eq!(served.get("/v1/jobs?state=succeeded").await.json()["jobs"].as_array().map(Vec::len), Some(9));
}
