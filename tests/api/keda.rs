//! The external scaler for KEDA, with two clients that share no code with the server: one of tonic with messages written by hand, and
//! one of Python's grpcio (`keda.py`).

use crate::member::{Member, SOON};
use leasehold_tests::{
    LinkState, Proxy, Stores, eventually,
    keda::{Active, Keda, Reference, Spec, Specs, free_address, trigger},
    leasehold_program,
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{process::Command, time::Instant};
use tonic::{Code, Status, Streaming};

/// A server with the scaler, a reaper, and a connection to the scaler.
struct Scaled {
    api: Member,
    address: String,
    keda: Keda,
    _reaper: Member,
}

impl Scaled {
    async fn start(stores: &Stores, database_url: &str, redis_url: &str) -> Self {
        let address = free_address();
        let settings = [("LEASEHOLD_API__KEDA_LISTEN", address.as_str()), ("LEASEHOLD_REDIS_URL", redis_url)];
        let api = Member::start_with(stores, database_url, &["api"], &settings);
        let keda = Keda::connect(&address).await;
        let reaper = Member::start(stores, &stores.database.url, &["reaper"]);
        Self { api, address, keda, _reaper: reaper }
    }

    async fn enqueue(&self, queue: &str) {
        let body = json!({ "kind": "k", "queue": queue }).to_string();
        let json = [("content-type", "application/json")];
        let sent = crate::http::request("POST", "/v1/jobs", &json, &body);
        assert_eq!(crate::http::send(self.api.address(), &sent).await.status, 201);
    }
}

fn of(queue: &str) -> Reference {
    trigger(&[("queue", queue), ("slotsPerReplica", "8"), ("scalerAddress", "leasehold-scaler:9465")])
}

#[tokio::test(flavor = "multi_thread")]
async fn keda_gets_a_target_and_the_demand_of_its_queues() {
    let stores = Stores::start().await;
    let scaled = Scaled::start(&stores, &stores.database.url, &stores.redis.url).await;
    let specs: Specs = scaled.keda.call("GetMetricSpec", of("a")).await.expect("a target");
    let wanted = Spec { metric: "leasehold-demand".into(), target: 7, target_float: 7.2 };
    assert_eq!(specs.specs, [wanted]);
    assert_eq!(
        (
            scaled.keda.is_active(of("a")).await.expect("an answer"),
            scaled.keda.demand(of("a")).await.expect("an answer")
        ),
        (false, 0.0)
    );
    for queue in ["a", "a", "b"] {
        scaled.enqueue(queue).await;
    }
    eventually("the demand", SOON, || async {
        let demands = (
            scaled.keda.demand(of("a")).await,
            scaled.keda.demand(of("a, b")).await,
            scaled.keda.demand(of("c")).await,
        );
        if matches!(demands, (Ok(2.0), Ok(3.0), Ok(0.0))) { Ok(()) } else { Err(demands) }
    })
    .await;
    assert!(scaled.keda.is_active(of("c,b")).await.expect("an answer"));
    for bad in [trigger(&[]), trigger(&[("queue", "a b"), ("slotsPerReplica", "8")])] {
        assert_eq!(scaled.keda.is_active(bad).await.expect_err("no queue").code(), Code::InvalidArgument);
    }
    let without_slots: Result<Specs, Status> = scaled.keda.call("GetMetricSpec", trigger(&[("queue", "a")])).await;
    let status = without_slots.expect_err("no slots");
    assert!(status.code() == Code::InvalidArgument && status.message().contains("slotsPerReplica"), "{status}");
}

async fn next(stream: &mut Streaming<Active>) -> bool {
    let message = tokio::time::timeout(SOON, stream.message()).await.expect("in time");
    message.expect("no error").expect("no end").result
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_job_is_told_at_once() {
    let stores = Stores::start().await;
    let scaled = Scaled::start(&stores, &stores.database.url, &stores.redis.url).await;
    let mut stream = scaled.keda.stream(of("a")).await.expect("a stream");
    assert!(!next(&mut stream).await, "the first answer comes at once");
    let begun = Instant::now();
    scaled.enqueue("a").await;
    assert!(next(&mut stream).await);
    let took = begun.elapsed();
    println!("the first job was told after {} ms", took.as_millis());

    // A run keeps the queue active, and its end ends this.
    let worker = Member::start(&stores, &stores.database.url, &["worker", "--queue", "a=8", "--exec", "k=true"]);
    assert!(!next(&mut stream).await, "nothing runs and nothing waits");
    drop(worker);
    assert!(scaled.api.stop(), "a stream does not hold up the stop");
    let end = tokio::time::timeout(SOON, stream.message()).await.expect("in time");
    assert_eq!(end.expect_err("the server has stopped").code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_store_is_unavailable_keda_hears_so() {
    let stores = Stores::start().await;
    let postgres = Proxy::start(stores.database.server().port()).await;
    let redis = Proxy::start(stores.redis.server().port()).await;
    let (database_url, redis_url) = (postgres.instead_of(&stores.database.url), redis.instead_of(&stores.redis.url));
    let scaled = Scaled::start(&stores, &database_url, &redis_url).await;
    for proxy in [&postgres, &redis] {
        let mut stream = scaled.keda.stream(of("a")).await.expect("a stream");
        assert!(!next(&mut stream).await);
        proxy.set(LinkState::Shut);
        let end = tokio::time::timeout(SOON, stream.message()).await.expect("in time");
        assert_eq!(end.expect_err("the open stream has ended").code(), Code::Unavailable);
        eventually("the answers of the last moment are not used any more", SOON, || async {
            let answers = (scaled.keda.is_active(of("a")).await, scaled.keda.demand(of("a")).await);
            let code = |status: &Status| status.code() == Code::Unavailable;
            let unknown = answers.0.as_ref().is_err_and(code) && answers.1.as_ref().is_err_and(code);
            if unknown { Ok(()) } else { Err(answers) }
        })
        .await;
        let stream = scaled.keda.stream(of("a")).await;
        assert_eq!(stream.expect_err("no answer").code(), Code::Unavailable);
        proxy.set(LinkState::Open);
        eventually("an answer again", SOON, || async { scaled.keda.is_active(of("a")).await }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_python_agrees() {
    let stores = Stores::start().await;
    let scaled = Scaled::start(&stores, &stores.database.url, &stores.redis.url).await;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("api");
    let environment = leasehold_program().with_file_name("keda-venv");
    let setup = Command::new("sh").arg(folder.join("keda-venv.sh")).arg(&environment).output().await.expect("sh");
    assert!(setup.status.success(), "this test needs Python 3 with venv, and grpcio from PyPI: {setup:?}");
    let mut python = Command::new(environment.join("bin/python"));
    python
        .arg(folder.join("keda.py"))
        .arg(&scaled.address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let python = python.spawn().expect("python");
    // The program has opened its stream when it has printed the first answer; the job may also come before that.
    scaled.enqueue("py").await;
    let output = tokio::time::timeout(Duration::from_secs(60), python.wait_with_output()).await;
    let output = output.expect("in time").expect("its output");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let wanted = json!({
        "spec": ["leasehold-demand", 7, 7.2], "streamed": true, "active": true, "value": [1, 1.0],
        "refused": "INVALID_ARGUMENT",
    });
    assert_eq!(told, wanted);
}
