//! Without a collector, and for what is not sampled: no span, and nothing in the stores.

use crate::{
    collector::{Answer, Collector, SOON},
    fleet::{Process, ended, enqueue, post_job, request},
};
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};

/// How many jobs store a trace.
async fn traced(stores: &Stores) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM leasehold.trace")
        .fetch_one(&mut stores.database.connect().await)
        .await
        .expect("a count")
}

async fn metrics(process: &Process) -> String {
    request(&process.address().await, "GET /metrics", &[], "").await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_stored_and_nothing_is_counted() {
    let stores = Stores::start().await;
    let api = Process::leasehold(&stores, &["api", "--listen", "127.0.0.1:0"], &[]);
    post_job(&api.address().await, &[], &json!({ "kind": "k" })).await;
    enqueue(&stores, &["--kind", "k"], &[]);
    assert_eq!(traced(&stores).await, 0);
    assert!(!metrics(&api).await.contains("leasehold_spans"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_sampled_is_a_plain_job() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let url = collector.url();
    let settings = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str()), ("LEASEHOLD_TELEMETRY__SAMPLE_RATIO", "0")];
    let mut api = Process::leasehold(&stores, &["api", "--listen", "127.0.0.1:0"], &settings);
    let worker =
        ["worker", "--queue", "default", "--listen", "127.0.0.1:0", "--exec", "*=printf '\"%s\"' \"$TRACEPARENT\""];
    let mut worker = Process::leasehold(&stores, &worker, &settings);
    let address = api.address().await;
    let plain = post_job(&address, &[], &json!({ "kind": "k" })).await;
    assert_eq!(ended(&stores, &plain).await["result"], "");
    assert_eq!(traced(&stores).await, 0);
    // What the caller samples is sampled.
    let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let id = post_job(&address, &[("traceparent", sampled)], &json!({ "kind": "k" })).await;
    let run = collector.one("process default").await;
    assert_eq!(run.attribute("messaging.message.id"), id);
    // What the caller does not sample keeps its trace, and is not exported.
    let unsampled = sampled.replace("-01", "-00");
    let id = post_job(&address, &[("traceparent", &unsampled)], &json!({ "kind": "k" })).await;
    assert_eq!(ended(&stores, &id).await["result"], Value::String(unsampled));
    // The answer of the collector may still be on its way.
    eventually("the count", SOON, async || {
        let metrics = metrics(&worker).await;
        if metrics.contains("leasehold_spans_exported_total 1\n") { Ok(()) } else { Err(metrics) }
    })
    .await;
    api.stop();
    worker.stop();
    let names: Vec<String> = collector.seen().into_iter().map(|seen| seen.name).collect();
    assert_eq!(names.len(), 3, "the request, the enqueue and the run of the caller that samples: {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_named_without_its_password() {
    let stores = Stores::start().await;
    let settings = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", "http://u:hunter2@collector:4318")];
    let mut command = crate::fleet::command(&leasehold_tests::leasehold_program(), &stores, &settings);
    let output = command.args(["enqueue", "--kind", "k"]).output().expect("running the program");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("telemetry.otlp_endpoint has a user or a password") && !said.contains("hunter2"), "{said}");
}
