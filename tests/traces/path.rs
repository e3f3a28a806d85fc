//! From a request through the enqueue to the runs: who is whose parent, and who links to whom.

use crate::{
    collector::{Answer, Collector, Linked, SOON, Seen},
    fleet::{Process, ended, enqueue, post_job},
};
use leasehold_tests::{Stores, eventually};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn caller() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// Prints the trace context of the run. The first attempt fails.
const COMMAND: &str = "*=printf '\"%s\"' \"$TRACEPARENT\"; [ $LEASEHOLD_ATTEMPT -gt 1 ]";

fn links(seen: &Seen) -> Vec<(&str, &Linked)> {
    seen.links.iter().map(|(link, to)| (link.as_str(), to)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_its_job_and_each_attempt_are_linked() {
    let (stores, collector) = (Stores::start().await, Collector::grpc(Answer::Takes).await);
    let to = [
        ("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", collector.url()),
        ("LEASEHOLD_TELEMETRY__OTLP_PROTOCOL", "grpc".into()),
    ];
    let to = to.each_ref().map(|(name, value)| (*name, value.as_str()));
    let api = Process::leasehold(&stores, &["api", "--listen", "127.0.0.1:0"], &to);
    let _reaper = Process::leasehold(&stores, &["reaper"], &[]);
    let _worker = Process::leasehold(&stores, &["worker", "--queue", "default", "--exec", COMMAND], &to);
    let id = post_job(&api.address().await, &[("traceparent", &caller())], &json!({ "kind": "k" })).await;

    let request = collector.one("POST /v1/jobs").await;
    assert_eq!((request.kind, request.trace.as_str(), request.parent.as_str()), (SpanKind::Server, TRACE, CALLER));
    assert_eq!(request.service, "leasehold-api");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/jobs"),
        ("url.path", "/v1/jobs"),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(request.attribute(name), value, "{name}: {request:?}");
    }

    let send = collector.one("send default").await;
    assert_eq!((send.kind, &send.trace, &send.parent), (SpanKind::Producer, &request.trace, &request.span));
    for (name, value) in [
        ("messaging.system", "leasehold"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "default"),
        ("messaging.message.id", &id),
    ] {
        assert_eq!(send.attribute(name), value, "{name}: {send:?}");
    }
    assert!(!send.attributes.contains_key("messaging.batch.message_count"), "{send:?}");

    let mut runs = collector.until(2, |seen| seen.name == "process default").await;
    runs.sort_by_key(|run| run.attribute("messaging.leasehold.attempt").to_owned());
    let [first, second] = runs.as_slice() else { panic!("two runs: {runs:?}") };
    for run in [first, second] {
        assert_eq!((run.kind, run.parent.as_str(), run.service.as_str()), (SpanKind::Consumer, "", "leasehold-worker"));
        for (name, value) in [
            ("messaging.system", "leasehold"),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", "default"),
            ("messaging.message.id", &id),
            ("messaging.leasehold.kind", "k"),
        ] {
            assert_eq!(run.attribute(name), value, "{name}: {run:?}");
        }
    }
    assert!(first.trace != second.trace && first.trace != request.trace, "each run is a trace of its own");
    assert_eq!(links(first), [("enqueue", &send.linked())]);
    assert_eq!(links(second), [("attempt_before", &first.linked()), ("enqueue", &send.linked())]);
    assert_eq!((first.is_error, first.attribute("error.type")), (true, "failed"));
    assert_eq!((second.is_error, second.attribute("error.type")), (false, ""));
    assert_eq!(second.attribute("messaging.leasehold.outcome"), "succeeded");
    let ended = ended(&stores, &id).await;
    assert_eq!(ended["result"], second.traceparent(), "the command gets the span of its run: {ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_enqueues_belongs_to_the_trace_of_its_shell() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let (url, caller) = (collector.url(), caller());
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("TRACEPARENT", &caller)];
    let id = enqueue(&stores, &["--kind", "k", "--queue", "mail"], &settings);
    let send = collector.one("send mail").await;
    assert_eq!((send.trace.as_str(), send.parent.as_str(), send.service.as_str()), (TRACE, CALLER, "leasehold"));
    assert_eq!(send.attribute("messaging.message.id"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_after_a_killed_worker_links_to_the_run_that_nobody_exported() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let url = collector.url();
    let to = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str()), ("LEASEHOLD_WORKER__LEASE_MS", "500")];
    let _reaper = Process::leasehold(&stores, &["reaper"], &to[1..]);
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let command = format!(
        "*=echo $TRACEPARENT > {0}.new; mv {0}.new {0}; [ $LEASEHOLD_ATTEMPT -gt 1 ] || exec sleep 600",
        told.display()
    );
    let arguments = ["worker", "--queue", "default", "--exec", &command];
    let mut killed = Process::leasehold(&stores, &arguments, &to);
    enqueue(&stores, &["--kind", "k"], &[]);
    let told = eventually("the first run", SOON, async || std::fs::read_to_string(&told)).await;
    killed.kill();
    let _worker = Process::leasehold(&stores, &arguments, &to);
    let second = collector.one("process default").await;
    let before = &second.links["attempt_before"];
    assert_eq!(format!("00-{}-{}-01", before.trace, before.span), told.trim(), "{second:?}");
    assert_eq!(second.attribute("messaging.leasehold.attempt"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_jobs_are_one_span() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let url = collector.url();
    let settings = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str())];
    let api = Process::leasehold(&stores, &["api", "--listen", "127.0.0.1:0"], &settings);
    let jobs = json!({ "jobs": [{ "kind": "k", "queue": "a" }, { "kind": "k", "queue": "b" }, { "kind": "k", "queue": "b" }] });
    let (status, answer) = crate::fleet::request(&api.address().await, "POST /v1/jobs", &[], &jobs.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    let send = collector.one("send").await;
    assert_eq!(send.attribute("messaging.batch.message_count"), "3");
    for absent in ["messaging.message.id", "messaging.destination.name"] {
        assert!(!send.attributes.contains_key(absent), "{send:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_follows_links_to_the_run_that_made_it() {
    let (stores, collector) = (Stores::start().await, Collector::http(Answer::Takes).await);
    let url = collector.url();
    let to = [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str())];
    let _reaper = Process::leasehold(&stores, &["reaper"], &[]);
    let first = "first=echo '{\"enqueue\": {\"kind\": \"second\", \"queue\": \"later\"}}' >&3";
    let arguments = ["worker", "--queue", "default", "--queue", "later", "--exec", first, "--exec", "second=true"];
    let _worker = Process::leasehold(&stores, &arguments, &to);
    enqueue(&stores, &["--kind", "first"], &[]);
    let first = collector.one("process default").await;
    assert!(first.links.is_empty(), "nobody exported the enqueue: {first:?}");
    let second = collector.one("process later").await;
    assert_eq!(links(&second), [("enqueue", &first.linked())]);
}
