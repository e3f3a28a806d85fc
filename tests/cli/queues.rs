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
    assert_eq!(jobs["blocked"], 0);
    let text = scene.output(&["stats"]);
    assert!(text.contains("BLOCKED") && scene.output(&["queue", "list"]).contains("BLOCKED"), "{text}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_has_a_dead_letter_queue_and_a_retention_and_shows_them() {
    let scene = Scene::start().await;
    scene.run(&["queue", "set", "q"]).refused(2, "nothing to set");
    scene.run(&["queue", "set", "q", "--dead-letter", "q"]).refused(2, "must name another queue than q");
    scene.run(&["queue", "set", "q", "--keep-days", "0"]).refused(2, "from 1 to 36500, or default");
    assert_eq!(
        scene.output(&["queue", "set", "q", "--dead-letter", "dead", "--keep-days", "3"]),
        "each job that dies in q makes a job in dead\nfinished jobs of q are kept 3 days"
    );
    let shown = scene.json(&["queue", "show", "q"]);
    let told = json!({
        "queue": "q", "paused": false, "priority_step_ms": null, "dead_letter": "dead", "keep_days": 3
    });
    assert_eq!(shown, told);
    let text = scene.output(&["queue", "show", "q"]);
    assert!(text.contains("dead letters   dead") && text.contains("kept 3 days"), "{text}");
    let set = scene.json(&["queue", "set", "q", "--keep-days", "default"]);
    assert_eq!(set, json!({ "queue": "q", "keep_days": null }));
    scene.output(&["queue", "set", "q", "--dead-letter", "none", "--priority-step", "strict"]);
    let shown = scene.json(&["queue", "show", "q"]);
    assert_eq!(
        (&shown["dead_letter"], &shown["keep_days"], shown["priority_step_ms"].is_u64()),
        (&json!(null), &json!(null), true)
    );
}

/// A job dies in a real worker; its letter is listed, shows where it comes from, and is run by a worker of its queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_found_from_both_sides() {
    let scene = Scene::start().await;
    scene.output(&["queue", "set", "q", "--dead-letter", "dead"]);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--payload", "{\"n\":7}"]);
    let mut worker =
        scene.command(&["worker", "--queue", "q", "--exec", "k=echo broken >&2; exit 65"]).spawn().expect("a worker");
    assert_eq!(scene.run(&["job", "wait", &id, "--timeout", "30s"]).code, 1);
    worker.kill().expect("killing the worker");
    worker.wait().expect("its end");
    let letters = scene.json(&["job", "list", "--queue", "dead"]);
    let letter = letters[0]["id"].as_str().expect("a letter").to_owned();
    let shown = scene.json(&["job", "show", &letter]);
    assert_eq!(
        (&shown["kind"], &shown["payload"], &shown["state"]),
        (&json!("k"), &json!({ "n": 7 }), &json!("queued"))
    );
    assert_eq!((&shown["dead_letters"][0]["died"], &shown["dead_letters"][0]["died_in"]), (&json!(id), &json!("q")));
    assert!(shown["last_error"].as_str().is_some_and(|error| error.contains("broken")), "{shown}");
    let text = scene.output(&["job", "show", &id]);
    assert!(text.contains(&format!("dead letter   job {letter}")), "{text}");
    let text = scene.output(&["job", "show", &letter]);
    assert!(text.contains(&format!("dead letter   of job {id}, which died in q")), "{text}");
}
