//! A collector that is away, refuses or never answers costs spans and nothing else.

use crate::{
    collector::{Answer, Collector, SOON},
    fleet::{Process, request, run},
};
use leasehold_tests::{Stores, eventually};
use std::{net::TcpListener, time::Duration};

/// More spans than the queue holds.
const JOBS: usize = 3000;
/// How long a stop may wait for the collector, and how long the rest of a stop takes on a busy machine.
const STOPS_WITHIN: Duration = Duration::from_secs(1 + 4);

/// Runs more jobs than spans find room while the collector is like this. The worker runs all jobs, loses spans, says so once, and stops in time.
async fn a_worker_goes_on(url: &str, protocol: &str) {
    let stores = Stores::start().await;
    let to = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url), ("LEASEHOLD_TELEMETRY__OTLP_PROTOCOL", protocol)];
    let folder = tempfile::tempdir().expect("a folder");
    let jobs = folder.path().join("jobs");
    let log = folder.path().join("log");
    let line = serde_json::json!({ "kind": "probe", "payload": { "log": log } }).to_string() + "\n";
    std::fs::write(&jobs, line.repeat(JOBS)).expect("the jobs");
    let mut enqueueing = crate::fleet::command(&leasehold_tests::leasehold_program(), &stores, &[]);
    let output = enqueueing.args(["enqueue", "--stdin"]).stdin(std::fs::File::open(&jobs).expect("the jobs")).output();
    assert!(output.expect("running the program").status.success());
    let mut worker = crate::fleet::command(std::path::Path::new(env!("CARGO_BIN_EXE_probe_worker")), &stores, &to);
    worker.args(["default", "50"]).env("LEASEHOLD_WORKER__LISTEN", "127.0.0.1:0");
    let mut worker = Process::start(worker);
    let address = worker.address().await;
    let samples = async || {
        let (_, text) = request(&address, "GET /metrics", &[], "").await;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            line.unwrap_or(-1.0)
        };
        let dropped = |reason: &str| value(&format!("leasehold_spans_dropped_total{{reason=\"{reason}\"}}"));
        (
            value("leasehold_completes_total"),
            dropped("queue_full") + dropped("refused"),
            value("leasehold_spans_exported_total"),
        )
    };
    eventually("all jobs, and lost spans", SOON * 2, async || {
        let (succeeded, dropped, exported) = samples().await;
        if succeeded as usize == JOBS && dropped > 0.0 { Ok(()) } else { Err((succeeded, dropped, exported)) }
    })
    .await;
    let (_, _, exported) = samples().await;
    assert_eq!(exported, 0.0);
    eventually("the warning", SOON, async || {
        let warnings = worker.warnings();
        let is_one = warnings.len() == 1 && warnings[0]["message"].to_string().contains("spans are lost");
        if is_one { Ok(()) } else { Err(warnings) }
    })
    .await;
    let took = worker.stop();
    assert!(took < STOPS_WITHIN, "{took:?}");
    // Neither the stop nor the libraries warn again.
    assert_eq!(worker.warnings().len(), 1, "{:?}", worker.warnings());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_collector_goes_on() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    a_worker_goes_on(&format!("http://{free}"), "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_collector_refuses_goes_on() {
    a_worker_goes_on(&Collector::grpc(Answer::Refuses).await.url(), "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_collector_never_answers_goes_on() {
    a_worker_goes_on(&Collector::http(Answer::Never).await.url(), "http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_does_not_wait_for_a_collector_that_never_answers() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Never).await);
    let url = collector.url();
    let begun = std::time::Instant::now();
    run(&stores, &["enqueue", "--kind", "k"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    assert!(begun.elapsed() < STOPS_WITHIN, "{:?}", begun.elapsed());
}
