//! How runs end: each way to end one, what their ends carry, and what an end does that cannot be written.

use crate::{claims::settled, http::Served};
use leasehold_tests::Stores;
use serde_json::json;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_end_a_run_can_be_sent_again() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let worker = json!(Uuid::now_v7());
    for (verb, more, state) in [
        ("fail", json!({ "error": "no", "delay_ms": 3_600_000 }), "scheduled"),
        ("fail", json!({ "error": "no", "never": true }), "dead"),
        ("snooze", json!({ "delay_ms": 3_600_000, "reason": "later" }), "scheduled"),
        ("release", json!({}), "queued"),
    ] {
        served.enqueue("k").await;
        let job = served.claim(json!({ "worker": worker })).await.pop().expect("a job");
        let first = served.end(&job, verb, more.clone()).await;
        assert_eq!(settled(&first), (200, json!(state), json!(false)), "{verb} {more}");
        let again = served.end(&job, verb, more.clone()).await;
        assert_eq!(settled(&again), (200, json!(state), json!(true)), "{verb} {more}");
        assert_eq!(served.state(&job).await, state);
        if state == "queued" {
            let next = served.claim(json!({ "worker": worker })).await.pop().expect("the job again");
            assert_eq!((&next["id"], &next["epoch"], &next["attempt"]), (&job["id"], &json!(2), &json!(1)));
            let stale = served.end(&job, "complete", json!({})).await;
            assert_eq!(stale.code(), "lease_lost", "another epoch");
        }
    }
    // The last attempt: the job is dead, and the same failure again is known.
    let one = json!({ "kind": "k", "max_attempts": 1 });
    served.post("/v1/jobs", &one).await;
    let job = served.claim(json!({ "worker": worker })).await.pop().expect("a job");
    assert_eq!(settled(&served.end(&job, "fail", json!({ "error": "no" })).await), (200, json!("dead"), json!(false)));
    assert_eq!(settled(&served.end(&job, "fail", json!({ "error": "no" })).await), (200, json!("dead"), json!(true)));
}

/// A success that PostgreSQL cannot store is refused, and the worker still holds the run.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_cannot_be_stored_does_not_end_the_run() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let worker = Uuid::now_v7();
    let nowhere = json!({ "enqueue": [{ "kind": "next", "depends_on": [Uuid::now_v7()] }] });
    let with_result = json!({ "result": 1, "enqueue": nowhere["enqueue"] });
    for (bad, pointers) in [(nowhere, vec!["/enqueue"]), (with_result, vec!["/result", "/enqueue"])] {
        served.enqueue("k").await;
        let job = served.claim(json!({ "worker": worker })).await.pop().expect("a job");
        let refused = served.end(&job, "complete", bad.clone()).await;
        assert_eq!((refused.status, refused.pointers()), (422, pointers.iter().map(|&p| p.to_owned()).collect()));
        let mut run = json!({ "id": job["id"], "epoch": job["epoch"], "outcome": "complete" });
        run.as_object_mut().expect("an object").extend(bad.as_object().expect("an object").clone());
        let all = served.post("/v1/jobs/settle", &json!({ "worker": worker, "runs": [run] })).await.json();
        assert_eq!(all["runs"][0]["error"]["details"][0]["pointer"], format!("/runs/0{}", pointers[0]), "{all}");
        assert_eq!(served.state(&job).await, "running");
        let done = served.end(&job, "complete", json!({ "result": 2 })).await;
        assert_eq!(settled(&done), (200, json!("succeeded"), json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_makes_the_next_stage_and_a_child_gets_results() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let worker = json!(Uuid::now_v7());
    let parent = served.enqueue("parent").await;
    served.post("/v1/jobs", &json!({ "kind": "child", "depends_on": [parent] })).await;
    let job = served.claim(json!({ "worker": worker })).await.pop().expect("the parent");
    let bad = json!({ "enqueue": [{ "kind": "next" }, { "kind": "next", "priority": 500 }] });
    assert_eq!(served.end(&job, "complete", bad).await.pointers(), ["/enqueue/1/priority"]);
    let next = json!({ "result": 42, "enqueue": [{ "kind": "next", "payload": [1] }] });
    assert_eq!(served.end(&job, "complete", next).await.status, 200);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let job = served.claim(json!({ "worker": worker })).await.pop().expect("a job");
        if job["kind"] == "child" {
            assert_eq!((&job["parents"][0]["id"], &job["parents"][0]["result"]), (&json!(parent), &json!(42)));
        }
        kinds.push(job["kind"].as_str().expect("a kind").to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["child", "next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_says_that_a_cancel_is_wanted_and_the_release_cancels() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let id = served.enqueue("k").await;
    let job = served.claim(json!({ "worker": Uuid::now_v7() })).await.pop().expect("the job");
    let told = served.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await.json();
    assert_eq!((&told["state"], &told["changed"]), (&json!("running"), &json!(true)));
    assert_eq!(served.end(&job, "renew", json!({})).await.json()["cancel_wanted"], true);
    assert_eq!(settled(&served.end(&job, "release", json!({})).await), (200, json!("cancelled"), json!(false)));
    assert_eq!(settled(&served.end(&job, "release", json!({})).await), (200, json!("cancelled"), json!(true)));
}

/// An open transaction holds the row of a run: the answer comes after `database.lock_timeout_ms`, and says whose transaction it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_locked_run_says_who_holds_it() {
    let stores = Stores::start().await;
    let served = Served::start_with(&stores, &[("LEASEHOLD_DATABASE__LOCK_TIMEOUT_MS", "400")]);
    let id = served.enqueue("k").await;
    let worker = Uuid::now_v7();
    let claimed = served.post("/v1/queues/default/claim", &json!({ "worker": worker, "wait_ms": 20_000 })).await;
    let epoch = claimed.json()["jobs"][0]["epoch"].clone();
    let mut other = stores.database.connect().await;
    let lock =
        format!("SET application_name = 'a report'; BEGIN; SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.expect("a lock");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.expect("a pid");
    let (path, end) = (format!("/v1/jobs/{id}/complete"), json!({ "worker": worker, "epoch": epoch }));
    let reply = served.post(&path, &end).await;
    assert_eq!((reply.status, reply.code()), (503, "locked".to_owned()), "{reply:?}");
    let text = reply.json()["error"]["message"].to_string();
    assert!(text.contains(&format!("(pid {pid}, application a report, idle in transaction, open for ")), "{text}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("the end of the lock");
    assert_eq!(served.post(&path, &end).await.status, 200);
}
