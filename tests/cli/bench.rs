//! `leasehold bench`: its output line for other programs, and the cost of jobs.

use crate::fixture::{Ran, Scene};
use leasehold_tests::all_keys;
use serde_json::Value;
use std::collections::BTreeSet;

fn line(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.stdout.trim_end().lines().count()), (0, 1), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn with<'a>(more: &[&'a str]) -> BTreeSet<&'a str> {
    ["peer", "version", "mode", "n", "procs", "conc"].into_iter().chain(more.iter().copied()).collect()
}

fn positive(line: &Value, names: &[&str]) {
    for name in names {
        let value = line.pointer(name).and_then(Value::as_f64);
        assert!(value.is_some_and(|value| value > 0.0), "{name} is {value:?} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_prints_one_line_and_leaves_no_jobs() {
    let scene = Scene::start().await;
    let ran = scene.run(&["bench", "--n", "700", "--procs", "2", "--conc", "10"]);
    let figures = ["enqueue_per_s", "drain_per_s", "before_ready", "first_tenth_per_s", "last_tenth_per_s"];
    let line = line(&ran);
    assert_eq!(keys(&line), with(&figures));
    assert_eq!((&line["peer"], &line["mode"], &line["n"]), (&"leasehold".into(), &"drain".into(), &700.into()));
    positive(&line, &["/enqueue_per_s", "/drain_per_s", "/first_tenth_per_s", "/last_tenth_per_s"]);
    assert_eq!(ran.stderr, "", "standard error is not a terminal, so there is no progress");
    let finished: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE state = 'succeeded'")
        .fetch_one(&mut scene.sql().await)
        .await
        .expect("counting");
    assert_eq!(finished, 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_are_in_the_output_line_and_in_a_table() {
    let scene = Scene::start().await;
    let ran = scene.run(&["bench", "--n", "2000", "--costs"]);
    let line = line(&ran);
    // CPU is counted in hundredths of a second, so a few jobs may show 0. The servers of tests run on this machine.
    for name in ["postgres_cpu_us_per_job", "redis_cpu_us_per_job", "driver_cpu_us_per_job", "workers_cpu_us_per_job"] {
        assert!(line["costs"][name].as_f64().is_some_and(|cost| cost >= 0.0), "{name}: {line}");
    }
    positive(&line, &["/costs/transactions_per_job", "/costs/wal_bytes_per_job", "/costs/worker_memory_peak_bytes"]);
    let memory = |name: &str| line["costs"]["redis_memory"][name].as_u64().expect("bytes");
    assert!(memory("peak_bytes") > memory("before_bytes") && memory("before_bytes") > 0, "{line}");
    assert!(line["costs"]["transactions_per_job"].as_f64() < Some(0.5), "jobs are not batched: {line}");
    for words in ["transactions", "bytes a job", "CPU of PostgreSQL", "memory of Redis", "memory of a worker"] {
        assert!(ran.stderr.contains(words), "no {words} in {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flow_runs_for_the_given_time() {
    let scene = Scene::start().await;
    let line = line(&scene.run(&["bench", "--mode", "flow", "--seconds", "1", "--procs", "1"]));
    assert_eq!(keys(&line), with(&["flow_per_s", "seconds", "tenths_per_s"]));
    positive(&line, &["/flow_per_s", "/n"]);
    let tenths = line["tenths_per_s"].as_array().expect("tenths");
    let run_in_time: f64 = tenths.iter().filter_map(Value::as_f64).map(|rate| rate / 10.0).sum();
    assert!(
        tenths.len() == 10 && run_in_time > 0.0 && run_in_time <= line["n"].as_f64().expect("jobs") + 0.5,
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_measures_every_job() {
    let scene = Scene::start().await;
    let line = line(&scene.run(&["bench", "--mode", "latency", "--n", "20", "--gap-ms", "1"]));
    assert_eq!(keys(&line), with(&["seen", "p50_ms", "p95_ms", "p99_ms", "quantiles_ms"]));
    assert_eq!(line["seen"], 20);
    positive(&line, &["/p50_ms", "/p99_ms", "/quantiles_ms/4/1"]);
    assert_eq!(line["quantiles_ms"][4], serde_json::json!([0.5, line["p50_ms"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_workers_claim_from_the_line() {
    let scene = Scene::start().await;
    let line = line(&scene.run(&["bench", "--n", "300", "--procs", "1", "--without-redis", "--costs"]));
    positive(&line, &["/drain_per_s", "/costs/wal_bytes_per_job"]);
    assert_eq!((&line["costs"]["redis_memory"], &line["costs"]["redis_cpu_us_per_job"]), (&Value::Null, &Value::Null));
    let keys = all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_is_measured_and_removed() {
    let scene = Scene::start().await;
    let line = line(&scene.run(&["bench", "--mode", "floor", "--n", "1200", "--gap-ms", "0", "--costs"]));
    let figures = ["enqueue_per_s", "drain_per_s", "flow_per_s", "p50_ms", "p95_ms", "p99_ms", "quantiles_ms", "costs"];
    assert_eq!((&line["peer"], keys(&line)), (&"floor".into(), with(&figures)));
    positive(&line, &["/enqueue_per_s", "/drain_per_s", "/flow_per_s", "/p50_ms", "/costs/wal_bytes_per_job"]);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'leasehold_floor'")
        .fetch_one(&mut scene.sql().await)
        .await
        .expect("looking for the schema of the floor");
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictory_arguments_are_refused() {
    let scene = Scene::start().await;
    scene.run(&["bench", "--seconds", "5"]).refused(2, "--seconds works only with --mode flow");
    scene.output(&["enqueue", "--kind", "k"]);
    scene.run(&["bench", "--n", "10"]).refused(2, "this database has live jobs");
}
