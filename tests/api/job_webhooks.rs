//! The word `webhook` of a job over HTTP: its webhook hears of the end of this job, and an unknown webhook is named.

use crate::{
    http::{Reply, Served, request, send},
    receiver::Receiver,
};
use leasehold_tests::Stores;
use serde_json::{Value, json};

/// A server whose webhook `crm` gets only the ends of jobs that name it.
async fn start(stores: &Stores) -> (Served, Receiver) {
    // Receivers of tests are on the loopback address.
    let served = Served::start_with(stores, &[("LEASEHOLD_WEBHOOKS__ALLOW_NETWORKS", "127.0.0.1/32")]);
    let receiver = Receiver::start(204).await;
    let made =
        served.post("/v1/webhooks", &json!({ "id": "crm", "url": receiver.url, "queue": "no-such-queue" })).await;
    assert_eq!((made.status, &made.json()["webhook"]["active"]), (201, &json!(true)), "{made:?}");
    (served, receiver)
}

fn id(job: &Value) -> String {
    job["id"].as_str().unwrap_or_else(|| panic!("no id in {job}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_names_a_webhook_is_told_of_in_each_way_to_enqueue_it() {
    let stores = Stores::start().await;
    let (served, receiver) = start(&stores).await;
    let job = json!({ "kind": "k", "webhook": "crm" });
    let one = served.post("/v1/jobs", &job).await.json();
    let plain = served.post("/v1/jobs", &json!({ "kind": "k" })).await.json();
    let many = served.post("/v1/jobs", &json!({ "jobs": [{ "kind": "k" }, job] })).await.json();
    let graph = json!({ "jobs": [{ "name": "a", "kind": "k", "webhook": "crm" }] });
    let graph = served.post("/v1/graphs", &graph).await.json();
    let schedule = json!({ "every": "1h", "job": job });
    let set = send(
        served.api.address(),
        &request("PUT", "/v1/schedules/s", &[("content-type", "application/json")], &schedule.to_string()),
    )
    .await;
    assert_eq!((set.status, &set.json()["webhook"]), (200, &json!("crm")), "{set:?}");
    let tick = served.post("/v1/schedules/s/run", &json!({})).await.json();

    let shown = served.get(&format!("/v1/jobs/{}", id(&one))).await.json();
    assert_eq!(shown["webhook"], "crm", "{shown}");
    let shown = served.get(&format!("/v1/jobs/{}", id(&plain))).await.json();
    assert!(shown.get("webhook").is_none(), "{shown}");
    let mut named = vec![id(&one), id(&many["jobs"][1]), id(&graph["jobs"][0]), id(&tick)];
    for id in [id(&plain), id(&many["jobs"][0])].iter().chain(&named) {
        let cancelled = served.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
    }
    let messages = receiver.until(4).await;
    let mut heard: Vec<String> = messages.iter().map(|message| id(&message.json()["data"])).collect();
    heard.sort();
    named.sort();
    assert_eq!(heard, named);
    let deliveries = served.get("/v1/jobs?queue=leasehold.webhooks").await.json();
    assert_eq!(deliveries["jobs"].as_array().map(Vec::len), Some(4), "no job has two: {deliveries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_webhook_is_named_and_nothing_is_written() {
    let stores = Stores::start().await;
    let (served, _receiver) = start(&stores).await;
    let bad = |name: &str| json!({ "kind": "k", "name": "b", "webhook": name });
    let without_name = json!({ "kind": "k", "webhook": "nobody" });
    let put = async |body: Value| {
        let json = [("content-type", "application/json")];
        send(served.api.address(), &request("PUT", "/v1/schedules/s", &json, &body.to_string())).await
    };
    let refusals: [(Reply, &str); 6] = [
        (served.post("/v1/jobs", &without_name).await, "/webhook"),
        (served.post("/v1/jobs", &json!({ "kind": "k", "webhook": "a b" })).await, "/webhook"),
        (served.post("/v1/jobs", &json!({ "kind": "k", "webhook": 7 })).await, "/webhook"),
        (served.post("/v1/jobs", &json!({ "jobs": [{ "kind": "a" }, without_name] })).await, "/jobs/1/webhook"),
        (
            served.post("/v1/graphs", &json!({ "jobs": [{ "name": "a", "kind": "a" }, bad("nobody")] })).await,
            "/jobs/1/webhook",
        ),
        (put(json!({ "every": "1h", "job": without_name })).await, "/job/webhook"),
    ];
    for (refused, pointer) in &refusals {
        assert_eq!((refused.status, refused.pointers()), (422, vec![(*pointer).to_owned()]), "{refused:?}");
    }
    assert!(refusals[0].0.text.contains("there is no webhook of this id"), "{:?}", refusals[0].0);
    let jobs = served.get("/v1/jobs").await.json();
    assert_eq!((&jobs["jobs"], served.get("/v1/schedules/s").await.status), (&json!([]), 404), "{jobs}");
}
