//! A worker.

use crate::member::{Member, SOON};
use leasehold::{Client, Config, Kind, NewJob};
use leasehold_tests::{LinkState, Proxy, Stores, eventually};
use serde_json::value::RawValue;

const WORKER: [&str; 5] = ["worker", "--queue", "default=3", "--exec", "echo=cat"];

async fn run_jobs(stores: &Stores, count: usize) {
    let client = Client::connect(&Config::new(&stores.database.url, &stores.redis.url)).await.expect("a client");
    let kind: Kind = "echo".parse().expect("a kind");
    let payload = || RawValue::from_string("1".to_owned()).expect("JSON");
    let jobs: Vec<NewJob> = (0..count).map(|_| NewJob::new(kind.clone(), payload())).collect();
    for job in client.enqueue_many(&jobs).await.expect("enqueueing") {
        client.wait_finished(job.id, SOON).await.expect("its end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_alive_and_ready_and_counts_its_runs() {
    let stores = Stores::start().await;
    let worker = Member::start(&stores, &stores.database.url, &WORKER);
    assert_eq!(worker.get("/healthz").await.status, 200);
    let ready = worker.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"], &ready.json()["degraded"]), (200, &true.into(), &false.into()));
    run_jobs(&stores, 5).await;
    // The result is in PostgreSQL before it is counted.
    eventually("all runs are counted", SOON, || async {
        let metrics = worker.metrics().await;
        let of = |name: &str| metrics.get(name).copied();
        let counted = [of("leasehold_claims_total"), of("leasehold_completes_total"), of("leasehold_running")];
        if counted == [Some(5.0), Some(5.0), Some(0.0)] { Ok(()) } else { Err(metrics) }
    })
    .await;
    let metrics = worker.metrics().await;
    for (name, value) in [
        ("leasehold_slots{queue=\"default\"}", 3.0),
        ("leasehold_slots_free{queue=\"default\"}", 3.0),
        ("leasehold_store_up{store=\"postgres\"}", 1.0),
        ("leasehold_store_up{store=\"redis\"}", 1.0),
        ("leasehold_retries_total", 0.0),
        ("leasehold_leases_lost_total", 0.0),
        ("leasehold_settles_unwritten_total", 0.0),
        ("leasehold_start_delay_seconds_count{queue=\"default\"}", 5.0),
        ("leasehold_start_delay_seconds_bucket{le=\"1800.0\",queue=\"default\"}", 5.0),
        ("leasehold_run_seconds_count{queue=\"default\"}", 5.0),
        ("leasehold_settle_jobs_sum", 5.0),
        ("leasehold_claim_jobs_sum", 5.0),
        ("leasehold_postgres_connections_max", 10.0),
        ("leasehold_postgres_statements_waiting", 0.0),
    ] {
        assert_eq!(metrics.get(name), Some(&value), "{name} in {metrics:#?}");
    }
    for name in ["resident_bytes", "open_files", "open_files_max", "cpu_seconds_total", "start_time_seconds"] {
        assert!(metrics[&format!("leasehold_process_{name}")] > 0.0, "{name} in {metrics:#?}");
    }
    assert_eq!(worker.get("/nothing").await.status, 404);
    assert!(worker.stop(), "it ends well, also while it listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_worker_is_ready_and_reports_a_degraded_state() {
    let stores = Stores::start().await;
    let worker = Member::start(&stores, &stores.database.url, &WORKER);
    run_jobs(&stores, 1).await;
    stores.redis.server().kill();
    let answer =
        worker.until("/readyz", "it sees that Redis is away", |answer| answer.json()["degraded"] == true).await;
    assert_eq!((answer.status, &answer.store("postgres")["up"]), (200, &true.into()));
    let redis = answer.store("redis");
    assert_eq!((&redis["up"], &redis["needed"]), (&false.into(), &false.into()));
    assert!(redis["since"].is_string() && redis["error"].as_str().is_some_and(|error| !error.is_empty()), "{redis}");
    assert_eq!(worker.metrics().await["leasehold_store_up{store=\"redis\"}"], 0.0);
    assert_eq!(worker.get("/healthz").await.status, 200);
    stores.redis.server().start_again().expect("starting Redis");
    worker.until("/readyz", "Redis is back", |answer| answer.json()["degraded"] == false).await;
}

/// A Redis that answers but cannot be used counts as unavailable: the health says so, and jobs still run.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_be_used_is_unavailable() {
    let stores = Stores::start().await;
    let worker = Member::start(&stores, &stores.database.url, &WORKER);
    let mut redis = stores.redis.connect().await;
    for (harm, cure, said) in [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "is a replica"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "is full"),
        ("ACL SETUSER default -blmove", "ACL SETUSER default +blmove", "does not let this user do what is needed"),
        ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +evalsha +eval", "does not let this user"),
    ] {
        let ask = |command: &str| {
            let mut words = command.split(' ');
            let mut command = redis::cmd(words.next().expect("a command"));
            command.arg(words.collect::<Vec<_>>());
            command
        };
        worker.until("/readyz", "both are up", |answer| answer.json()["degraded"] == false).await;
        ask(harm).exec_async(&mut redis).await.expect(harm);
        let answer = worker.until("/readyz", harm, |answer| answer.json()["degraded"] == true).await;
        assert_eq!((answer.status, &answer.store("redis")["up"]), (200, &false.into()), "{harm}");
        let error = answer.store("redis")["error"].to_string();
        assert!(error.contains(said), "{harm}: {error}");
        assert_eq!(worker.metrics().await["leasehold_store_up{store=\"redis\"}"], 0.0, "{harm}");
        run_jobs(&stores, 3).await;
        ask(cure).exec_async(&mut redis).await.expect(cure);
    }
    worker.until("/readyz", "Redis is back", |answer| answer.json()["degraded"] == false).await;
    run_jobs(&stores, 3).await;
}

/// A PostgreSQL that answers but takes no writes counts as unavailable.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_no_writes_is_unavailable() {
    let stores = Stores::start_apart().await;
    let worker = Member::start(&stores, &stores.database.url, &WORKER);
    run_jobs(&stores, 1).await;
    let mut admin = stores.database.connect().await;
    let set = async |admin: &mut sqlx::PgConnection, to: &'static str| {
        sqlx::raw_sql(to).execute(&mut *admin).await.expect(to);
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(admin).await.expect("reload");
    };
    set(&mut admin, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    let answer = worker.until("/readyz", "it is not ready", |answer| answer.status == 503).await;
    let error = answer.store("postgres")["error"].to_string();
    assert!(error.contains("takes no writes") && error.contains("default_transaction_read_only"), "{error}");
    assert_eq!(worker.metrics().await["leasehold_store_up{store=\"postgres\"}"], 0.0);
    assert_eq!(worker.get("/healthz").await.status, 200, "nobody is to kill it for that");
    set(&mut admin, "ALTER SYSTEM RESET default_transaction_read_only").await;
    worker.until("/readyz", "it is ready again", |answer| answer.status == 200).await;
    run_jobs(&stores, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_a_worker_is_alive_but_not_ready_until_postgres_is_available_again() {
    let stores = Stores::start().await;
    let proxy = Proxy::start(stores.database.server().port()).await;
    let worker = Member::start(&stores, &proxy.instead_of(&stores.database.url), &WORKER);
    assert_eq!(worker.get("/readyz").await.status, 200);
    for away in [LinkState::Shut, LinkState::Silent] {
        proxy.set(away);
        let answer = worker.until("/readyz", "it is not ready", |answer| answer.status == 503).await;
        let postgres = answer.store("postgres");
        assert_eq!((&answer.json()["ready"], &postgres["up"]), (&false.into(), &false.into()), "{away:?}");
        assert!(postgres["since"].is_string() && postgres["error"].is_string(), "{postgres}");
        assert_eq!(answer.store("redis")["up"], true);
        assert_eq!(worker.get("/healthz").await.status, 200, "nobody is to kill it for that");
        proxy.set(LinkState::Open);
        worker.until("/readyz", "it is ready again", |answer| answer.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_queues_of_a_worker_have_series_of_their_own() {
    let stores = Stores::start().await;
    let mut arguments =
        vec!["--set".to_owned(), "metrics.queues=q7".to_owned(), "--set".to_owned(), "metrics.queues_max=2".to_owned()];
    arguments.extend(["worker".to_owned(), "--exec".to_owned(), "echo=cat".to_owned()]);
    arguments.extend((0..9).flat_map(|nth| ["--queue".to_owned(), format!("q{nth}=2")]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let worker = Member::start(&stores, &stores.database.url, &arguments);
    let metrics = worker.metrics().await;
    let of = |name: &str| -> Vec<(&str, f64)> {
        let series =
            metrics.iter().filter_map(|(series, value)| Some((series.strip_prefix(name)?.strip_prefix('{')?, *value)));
        series.collect()
    };
    let slots = [("queue=\"_other\"}", 12.0), ("queue=\"q0\"}", 2.0), ("queue=\"q1\"}", 2.0), ("queue=\"q7\"}", 2.0)];
    assert_eq!(of("leasehold_slots"), slots, "{metrics:#?}");
    assert_eq!(of("leasehold_run_seconds_count").len(), 4, "{metrics:#?}");
}
