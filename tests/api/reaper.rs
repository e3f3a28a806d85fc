//! A reaper.

use crate::member::{Member, SOON};
use leasehold_tests::{LinkState, Proxy, Stores, eventually};
use sqlx::Executor;

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_counts_its_steps_and_repairs() {
    let stores = Stores::start().await;
    let reaper = Member::start(&stores, &stores.database.url, &["reaper"]);
    assert_eq!((reaper.get("/healthz").await.status, reaper.get("/readyz").await.status), (200, 200));
    let before = reaper.metrics().await;
    for kind in leasehold_reaper::Drift::ALL {
        for name in ["drift", "repairs"] {
            let name = format!("leasehold_{name}_total{{kind=\"{kind}\"}}");
            assert_eq!(before.get(&name), Some(&0.0), "{name} in {before:#?}");
        }
    }
    // Redis does not know about this pause.
    let pause = "INSERT INTO leasehold.queue (name, paused_at) VALUES ('default', now())";
    stores.database.connect().await.execute(pause).await.expect("a pause");
    let metrics = eventually("the pause is in Redis", SOON, || async {
        let metrics = reaper.metrics().await;
        if metrics["leasehold_repairs_total{kind=\"pause_flag\"}"] == 1.0 { Ok(metrics) } else { Err(metrics) }
    })
    .await;
    assert_eq!(metrics["leasehold_drift_total{kind=\"pause_flag\"}"], 1.0);
    for of in ["steps", "found", "changed", "errors", "step_seconds"] {
        let name = format!("leasehold_reaper_{of}_total{{step=\"pauses\"}}");
        assert!(metrics.contains_key(&name), "{name} in {metrics:#?}");
    }
    assert!(metrics["leasehold_reaper_steps_total{step=\"pauses\"}"] >= 1.0);
    assert!(reaper.stop(), "it ends well, also while it listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_says_how_long_the_oldest_job_of_each_queue_has_waited() {
    let stores = Stores::start().await;
    let reaper = Member::start(&stores, &stores.database.url, &["reaper"]);
    let jobs = "SELECT leasehold.enqueue('k', '1', queue => 'q', run_at => now() - n * interval '1 hour') FROM generate_series(0, 2) n;
                SELECT leasehold.enqueue('k', '1', queue => 'later', run_at => now() + interval '1 hour')";
    stores.database.connect().await.execute(jobs).await.expect("jobs");
    let metrics = reaper.metrics().await;
    let of = |name: &str, queue: &str| metrics.get(&format!("leasehold_{name}{{queue=\"{queue}\"}}")).copied();
    assert_eq!((of("queued", "q"), of("queued", "later")), (Some(3.0), Some(0.0)), "{metrics:#?}");
    let oldest = of("oldest_waiting_seconds", "q").expect("a gauge");
    assert!((7_200.0..7_300.0).contains(&oldest), "{oldest}");
    assert_eq!(of("oldest_waiting_seconds", "later"), Some(0.0), "a job that is not due does not wait");
    assert_eq!((of("scheduled", "later"), of("scheduled", "q")), (Some(1.0), Some(0.0)));
    assert_eq!((of("queue_workers", "q"), of("queue_paused", "q")), (Some(0.0), Some(0.0)));
    assert_eq!((of("queue_running", "q"), of("dead_last_minute", "q")), (Some(0.0), Some(0.0)));
    assert_eq!(metrics.get("leasehold_schedule_overdue_seconds"), Some(&0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_is_ready_while_postgres_answers() {
    let stores = Stores::start().await;
    let proxy = Proxy::start(stores.database.server().port()).await;
    let reaper = Member::start(&stores, &proxy.instead_of(&stores.database.url), &["reaper"]);
    stores.redis.server().kill();
    let answer =
        reaper.until("/readyz", "it sees that Redis is away", |answer| answer.json()["degraded"] == true).await;
    assert_eq!((answer.status, &answer.store("redis")["up"]), (200, &false.into()));
    proxy.set(LinkState::Shut);
    let answer = reaper.until("/readyz", "it is not ready", |answer| answer.status == 503).await;
    assert!(answer.store("postgres")["error"].is_string());
    assert_eq!(reaper.get("/healthz").await.status, 200);
    proxy.set(LinkState::Open);
    reaper.until("/readyz", "it is ready again", |answer| answer.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_outside_of_a_cluster_cannot_write_costs_of_pods_and_does_all_else() {
    let stores = Stores::start().await;
    let settings = [("LEASEHOLD_REAPER__POD_DELETION_COST", "app=worker")];
    let reaper = Member::start_with(&stores, &stores.database.url, &["reaper"], &settings);
    let metrics = eventually("the step has failed", SOON, || async {
        let metrics = reaper.metrics().await;
        if metrics.get("leasehold_reaper_errors_total{step=\"pods\"}") == Some(&1.0) {
            Ok(metrics)
        } else {
            Err(metrics)
        }
    })
    .await;
    let failed =
        metrics.iter().filter(|(name, count)| name.starts_with("leasehold_reaper_errors_total") && **count > 0.0);
    assert_eq!(failed.count(), 1, "{metrics:#?}");
    assert_eq!((reaper.get("/healthz").await.status, reaper.get("/readyz").await.status), (200, 200));
    let log = reaper.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("the step pods fails")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("KUBERNETES_SERVICE_HOST is not set"), "{log}");
    assert!(reaper.stop());
}
