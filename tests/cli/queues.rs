//! `leasehold queue …` and `leasehold stats`.

use crate::fixture::Scene;
use leasehold_tests::all_keys;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_set_in_both_stores_and_can_be_ended() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    assert_eq!(scene.json(&["queue", "pause", "q"]), json!({ "changed": true, "paused": true, "queue": "q" }));
    let keys = all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(!keys.contains_key("leasehold:{q}:ready"), "{keys:?}");
    assert_eq!(scene.output(&["queue", "pause", "q"]), "q was already paused");
    let stats = scene.json(&["stats"]);
    assert_eq!((&stats["postgres"][0]["paused"], &stats["redis"]["queues"][0]["paused"]), (&json!(true), &json!(true)));
    assert!(scene.output(&["queue", "list"]).contains("q (paused)"));
    assert_eq!(scene.output(&["queue", "resume", "q"]), "q is resumed");
    assert_eq!(scene.output(&["queue", "resume", "q"]), "q was not paused");
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_cancels_only_waiting_jobs() {
    let scene = Scene::start().await;
    scene
        .run_with_input(&["enqueue", "--stdin", "--queue", "q"], "{\"kind\":\"k\"}\n".repeat(1_201).as_bytes())
        .succeeded();
    scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--delay", "1h"]);
    let kept = scene.output(&["enqueue", "--kind", "k", "--queue", "other"]);
    assert_eq!(scene.output(&["queue", "purge", "q"]), "cancelled 1,202 waiting jobs of q");
    assert_eq!(scene.json(&["queue", "purge", "q"]), json!({ "cancelled": 0, "queue": "q" }));
    assert_eq!(scene.json(&["job", "show", &kept])["state"], "queued");
    let keys = all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(!keys.contains_key("leasehold:{q}:ready") && keys.contains_key("leasehold:{other}:ready"), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_name_the_store_of_each_number() {
    let scene = Scene::start().await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--delay", "1h"]);
    let stats = scene.json(&["stats"]);
    let (jobs, head) = (&stats["postgres"][0], &stats["redis"]["queues"][0]);
    assert_eq!((&jobs["queue"], &jobs["queued"], &jobs["scheduled"]), (&json!("q"), &json!(1), &json!(1)));
    assert_eq!((&head["queue"], &head["ready"]), (&json!("q"), &json!(1)));
    assert_eq!(jobs["blocked"], 0, "JSON has the column");
    let text = scene.output(&["stats"]);
    assert!(!text.contains("BLOCKED") && !scene.output(&["queue", "list"]).contains("BLOCKED"), "{text}");
    assert!(
        text.contains("PostgreSQL: jobs\nQUEUE") && text.contains("Redis: hints of the next jobs; 0 live workers"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worth_of_a_point_of_priority_can_be_set() {
    let scene = Scene::start().await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--priority", "1"]);
    let strict = json!({ "queue": "q", "priority_step_ms": 1_892_160_000_000_u64, "moved": 1 });
    assert_eq!(scene.json(&["queue", "set", "q", "--priority-step", "strict"]), strict);
    assert_eq!(
        scene.output(&["queue", "set", "q", "--priority-step", "10m"]),
        "in q a point of priority is worth 10m of waiting; moved 1 waiting job"
    );
    assert_eq!(scene.run(&["queue", "set", "q", "--priority-step", "never"]).code, 2);
}
