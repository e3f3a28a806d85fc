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
