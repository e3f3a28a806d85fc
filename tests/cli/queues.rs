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
async fn a_kind_is_paused_in_one_queue_and_resumed() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let paused = json!({ "queue": "q", "kind": "k", "paused": true, "changed": true });
    assert_eq!(scene.json(&["queue", "pause", "q", "--kind", "k"]), paused);
    assert_eq!(scene.output(&["queue", "pause", "q", "--kind", "k"]), "the kind k was already paused in q");
    // Neither the queue nor the kind has a job yet.
    assert_eq!(
        scene.output(&["queue", "pause", "new", "--kind", "later"]),
        "the kind later is paused in new; `leasehold queue resume new --kind later` ends the pause"
    );
    scene.run(&["queue", "pause", "q", "--kind", ""]).refused(2, "--kind");

    let told = scene.json(&["job", "explain", &id]);
    let reason = &told["reasons"][0];
    assert_eq!((&reason["code"], &reason["queue"], &reason["kind"]), (&json!("kind_paused"), &json!("q"), &json!("k")));
    let list = scene.output(&["queue", "list"]);
    assert!(list.contains("q (paused kinds: k)") && list.contains("new (paused kinds: later)"), "{list}");
    assert!(scene.output(&["stats"]).contains("q (paused kinds: k)"));
    let stats = scene.json(&["stats"]);
    let of = |name: &str| {
        let queues = stats["postgres"].as_array().expect("queues").iter();
        queues.clone().find(|stats| stats["queue"] == name).expect("a queue").clone()
    };
    assert_eq!((&of("q")["paused"], &of("q")["paused_kinds"]), (&json!(false), &json!(["k"])));
    let shown = scene.output(&["queue", "show", "q"]);
    assert!(shown.contains("paused         no") && shown.contains("paused kinds   k"), "{shown}");
    let doctor = scene.run(&["doctor", "--json"]).stdout;
    assert!(doctor.contains("the kind k is paused and has jobs in the line"), "{doctor}");

    scene.output(&["queue", "pause", "q"]);
    assert!(scene.output(&["queue", "list"]).contains("q (paused; paused kinds: k)"));
    assert_eq!(
        scene.output(&["queue", "resume", "q", "--kind", "later"]),
        "the kind later was not paused in q; the whole queue is still paused: `leasehold queue resume q` ends the pause"
    );
    assert_eq!(
        scene.output(&["queue", "resume", "q"]),
        "q is resumed; 1 kind is still paused in it: k; `leasehold queue resume q --kind k` ends a pause"
    );
    let resumed = json!({ "queue": "q", "kind": "k", "paused": false, "changed": true, "queue_paused": false });
    assert_eq!(scene.json(&["queue", "resume", "q", "--kind", "k"]), resumed);
    assert_eq!(scene.output(&["queue", "resume", "new", "--kind", "later"]), "the kind later is resumed in new");
    assert!(!scene.output(&["queue", "list"]).contains("paused"));
}

/// Neither a purge nor a cancel nor a change by filter waits for the end of a pause.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_paused_kind_can_be_changed_and_cancelled() {
    let scene = Scene::start().await;
    let ids: Vec<String> = (0..4).map(|_| scene.output(&["enqueue", "--kind", "k", "--queue", "q"])).collect();
    scene.output(&["queue", "pause", "q", "--kind", "k"]);
    scene.output(&["job", "priority", &ids[0], "7"]);
    scene.output(&["job", "move", &ids[1], "--to", "elsewhere"]);
    scene.output(&["job", "cancel", &ids[2]]);
    let state = |id: &str| scene.json(&["job", "show", id]);
    assert_eq!((&state(&ids[0])["priority"], &state(&ids[1])["queue"]), (&json!(7), &json!("elsewhere")));
    assert_eq!(state(&ids[2])["state"], "cancelled");
    scene.output(&["job", "retry", &ids[2]]);
    scene.output(&["job", "cancel", "--queue", "q", "--kind", "k", "--state", "queued", "--older-than", "0s", "--yes"]);
    assert_eq!((&state(&ids[2])["state"], &state(&ids[3])["state"]), (&json!("cancelled"), &json!("cancelled")));
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    assert_eq!(scene.output(&["queue", "purge", "q", "--yes"]), "cancelled 1 waiting job of q");
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
    scene.run(&["queue", "set", "q", "--priority-step", "-1h"]).refused(2, "\"-1h\" must not be negative");
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
        "queue": "q", "paused": false, "paused_kinds": [], "paused_fair_keys": [], "fair": true, "encrypted": false, "weights": {}, "priority_step_ms": null, "dead_letter": "dead",
        "keep_days": 3
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

#[tokio::test(flavor = "multi_thread")]
async fn scale_says_how_many_slots_a_queue_could_use_and_how_many_workers_these_are() {
    let scene = Scene::start().await;
    let nothing = scene.json(&["queue", "scale", "never"]);
    assert_eq!((&nothing["demand"], &nothing["suggested_replicas"]), (&json!(0), &json!(0)), "{nothing}");
    for _ in 0..9 {
        scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    }
    let scale = scene.json(&["queue", "scale", "q", "--slots-per-replica", "4"]);
    assert_eq!((&scale["demand"], &scale["waiting"], &scale["running"]), (&json!(9), &json!(9), &json!(0)), "{scale}");
    assert_eq!(scale["suggested_replicas"], json!(3), "nine slots of workers that plan to use 3.6 each: {scale}");
    let bounded = scene.json(&["queue", "scale", "q", "--slots-per-replica", "4", "--min", "5", "--max", "7"]);
    assert_eq!(bounded["suggested_replicas"], json!(5), "{bounded}");
    let text = scene.output(&["queue", "scale", "q", "--slots-per-replica", "4"]);
    for told in ["slots that the queue could use now", "jobs that could start now", "nine tenths of their slots"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    scene
        .run(&["queue", "scale", "q", "--slots-per-replica", "0"])
        .refused(2, "must be a whole number from 1 to 10000");
    scene.run(&["queue", "scale", "q", "--min", "3", "--max", "2"]).refused(2, "--max is less than --min");
    scene.output(&["queue", "purge", "q", "--yes"]);
    assert_eq!(scene.json(&["queue", "scale", "q"])["demand"], json!(0));
}

/// The times are added up from history: a test of the store has their numbers.
#[tokio::test(flavor = "multi_thread")]
async fn times_are_shown_by_queue_and_kind() {
    let scene = Scene::start().await;
    assert_eq!(scene.output(&["queue", "times"]), "no job has ended in the last 1h");
    assert_eq!(scene.json(&["queue", "times"]), json!([]));
    let mut sql = scene.sql().await;
    let minutes = "INSERT INTO leasehold.minutes_until (until) VALUES (date_trunc('minute', now()))
                       ON CONFLICT (one_row) DO UPDATE SET until = excluded.until;
                   INSERT INTO leasehold.minute (begins, queue, kind, succeeded, dead, cancelled, waits, runs)
                   SELECT date_trunc('minute', now()) - n * interval '1 minute', 'mail', 'send', 1200, n, 0, '{\"25\": 1200}', '{\"79\": 1200}'
                   FROM generate_series(1, 3) n";
    sqlx::raw_sql(minutes).execute(&mut sql).await.expect("minutes");
    let all = scene.json(&["queue", "times"]);
    assert_eq!(
        (&all[0]["succeeded"], &all[0]["dead"], &all[0]["minute"]),
        (&json!(3600), &json!(6), &json!(null)),
        "{all}"
    );
    let [wait, run] = ["wait_ms", "run_ms"].map(|of| all[0][of]["p50"].as_f64().expect("a time"));
    assert!((8.0..9.6).contains(&wait) && (861.0..1025.0).contains(&run), "{all}");
    let last = scene.json(&["queue", "times", "mail", "--since", "90s", "--each-minute"]);
    assert!(last.as_array().is_some_and(|last| last.len() == 2 && last[0]["minute"].is_string()), "{last}");
    let text = scene.output(&["queue", "times", "mail"]);
    assert!(text.contains("WAIT P50") && text.contains("3,600"), "{text}");
    assert!(scene.output(&["queue", "times", "other"]).starts_with("no job has ended"));
    for bad in ["0s", "25h"] {
        scene.run(&["queue", "times", "--since", bad]).refused(2, "must be from 1m to 24h");
    }
}
