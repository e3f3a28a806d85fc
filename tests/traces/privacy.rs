//! What spans must not have in them.

use crate::{
    collector::{Answer, Collector},
    fleet::{Process, post_job, request},
};
use leasehold_tests::Stores;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn spans_have_no_payload_result_error_token_or_query() {
    let (stores, collector) = (Stores::start().await, Collector::grpc(Answer::Takes).await);
    let url = collector.url();
    let to = [
        ("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("LEASEHOLD_LOG__FILTER", "debug"),
    ];
    let api = Process::leasehold(&stores, &["api", "--listen", "127.0.0.1:0"], &to);
    let _reaper = Process::leasehold(&stores, &["reaper"], &[]);
    let arguments = [
        "worker",
        "--queue",
        "default",
        "--exec",
        "good=echo canary-result",
        "--exec",
        "bad=echo canary-error >&2; exit 65",
    ];
    let _worker = Process::leasehold(&stores, &arguments, &to);
    let address = api.address().await;
    for kind in ["good", "bad"] {
        let headers = [("authorization", "Bearer canary-token"), ("x-request-id", "canary-header")];
        post_job(
            &address,
            &headers,
            &json!({ "kind": kind, "payload": "canary-payload", "unique_key": format!("canary-{kind}") }),
        )
        .await;
    }
    let (status, answer) = request(&address, "GET /v1/jobs?q=canary-query", &[], "").await;
    assert_eq!(status, 200, "{answer}");
    let runs = collector.until(2, |seen| seen.name == "process default").await;
    assert_eq!(runs.iter().filter(|run| run.attribute("error.type") == "hopeless").count(), 1, "{runs:?}");
    collector.one("GET /v1/jobs").await;
    let text = collector.text();
    assert!(!text.contains("canary"), "{text}");
    let ours = ["send default", "process default", "POST /v1/jobs", "GET /v1/jobs"];
    let others: Vec<String> =
        collector.seen().into_iter().map(|seen| seen.name).filter(|name| !ours.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "the export and the libraries make no spans: {others:?}");
}
