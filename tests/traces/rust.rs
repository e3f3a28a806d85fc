//! A program with the Rust crate: the spans of its handlers, and its client.

use crate::{
    collector::{Answer, Collector},
    fleet::{Process, command, ended, enqueue},
};
use leasehold_tests::Stores;
use serde_json::json;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_does_belongs_to_its_run() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let url = collector.url();
    let folder = tempfile::tempdir().expect("a folder");
    let mut worker =
        command(Path::new(env!("CARGO_BIN_EXE_probe_worker")), &stores, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    worker.args(["default", "2"]);
    let mut worker = Process::start(worker);
    let payload = json!({ "log": folder.path().join("log") }).to_string();
    let id = enqueue(&stores, &["--kind", "probe", "--payload", &payload], &[]);
    assert_eq!(ended(&stores, &id).await["state"], "succeeded");
    // The stop sends what has not been sent.
    worker.stop();
    let (run, inside) = (collector.one("process default").await, collector.one("probe").await);
    assert_eq!((&inside.trace, &inside.parent), (&run.trace, &run.span));
    assert_eq!(run.service, "probe_worker");
}
