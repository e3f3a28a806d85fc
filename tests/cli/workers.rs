//! `leasehold worker`, `reaper`, `doctor`, `stats --watch`: the processes from their users' view.

use crate::{
    fixture::{Scene, run},
    process::Background,
};
use leasehold_tests::eventually;
use serde_json::{Value, json};
use std::{fs, time::Duration};

async fn state_becomes(scene: &Scene, id: &str, wanted: &str) -> Value {
    eventually(&format!("job {id} is {wanted}"), Duration::from_secs(30), || async {
        let job = scene.json(&["job", "show", id]);
        if job["state"] == wanted { Ok(job) } else { Err(job) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_commands_by_kind_and_reports_its_tally() {
    let scene = Scene::start().await;
    let script = "#!/bin/sh\necho \"{\\\"kind\\\": \\\"$LEASEHOLD_KIND\\\", \\\"payload\\\": $(cat)}\"\n";
    fs::write(scene.folder().join("tell"), script).expect("written");
    let args =
        ["worker", "--queue", "q=2", "--queue", "r", "--exec", "a=sh ./tell", "--exec", "*=echo other", "--json"];
    let worker = Background::start(&scene, &args, &[]);
    let first = scene.output(&["enqueue", "--kind", "a", "--queue", "q", "--payload", "[1]"]);
    let second = scene.output(&["enqueue", "--kind", "b", "--queue", "r"]);
    let ends = scene.output(&["job", "wait", "--timeout", "30s", "--json", &first, &second]);
    let ends: Vec<Value> = ends.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(ends[0]["result"], json!({ "kind": "a", "payload": [1] }));
    assert_eq!((&ends[1]["id"], &ends[1]["result"]), (&json!(second), &json!("other\n")));
    assert_eq!(scene.output(&["job", "wait", &second]), format!("{second}  succeeded  \"other\\n\""));
    let explained = scene.output(&["job", "explain", &first]);
    assert!(explained.contains("it succeeded 20"), "{explained}");

    let ran = worker.stop();
    let tally: Value = serde_json::from_str(&ran.stdout).expect("the tally");
    assert_eq!((ran.code, &tally["claimed"], &tally["succeeded"]), (0, &json!(2), &json!(2)), "{ran:?}");
    assert!(ran.stderr.contains("the worker has stopped"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_explained_and_cancelled() {
    let scene = Scene::start().await;
    let _worker = Background::start(&scene, &["worker", "--queue", "q=1", "--exec", "k=sleep 600"], &[]);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    state_becomes(&scene, &id, "running").await;
    let next = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let foreign = scene.output(&["enqueue", "--kind", "other", "--queue", "q"]);
    let explained = scene.output(&["job", "explain", &id]);
    for told in ["is running", "attempt 1 of 5", "its lease holds for another", "(process "] {
        assert!(explained.contains(told), "{told}: {explained}");
    }
    let explained = scene.output(&["job", "explain", &foreign]);
    let told = "none of the 1 worker that serves the queue q has a handler for the kind other";
    assert!(explained.contains(told), "{explained}");
    eventually("explain of the next job says that all slots are taken", Duration::from_secs(20), || async {
        let explained = scene.output(&["job", "explain", &next]);
        if explained.contains("all 1 slots of the workers that serve it are taken") { Ok(()) } else { Err(explained) }
    })
    .await;
    assert_eq!(scene.output(&["job", "cancel", &id]), format!("{id}  its worker is told to stop"));
    state_becomes(&scene, &id, "cancelled").await;
}

/// `--retry k=…` also works if the command of every other kind runs the kind. A replacement of a job that runs is not silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_a_command_of_its_own_has_delays_of_its_own() {
    let scene = Scene::start().await;
    let refused = scene.run(&["worker", "--queue", "q", "--exec", "other=true", "--retry", "k=fixed:1h"]);
    refused.refused(2, "--retry k=…: there is neither --exec k=… nor --exec '*=…'");
    let arguments = ["worker", "--queue", "q=2", "--exec", "*=sleep 1; exit 1", "--retry", "k=fixed:3h"];
    let _worker = Background::start(&scene, &arguments, &[]);
    let unique = ["--unique-key", "u", "--unique-on-conflict", "replace", "--queue", "q", "--kind"];
    let id = scene.output(&[&["enqueue"], &unique[..], &["k"]].concat());
    state_becomes(&scene, &id, "running").await;
    let again = scene.run(&[&["enqueue", "--payload", "[2]"], &unique[..], &["k"]].concat());
    assert!(again.stdout.trim() == id && again.stderr.contains("the new payload is not used"), "{again:?}");
    state_becomes(&scene, &id, "scheduled").await;
    let told = scene.json(&["job", "explain", &id]);
    let in_ms = told["reasons"][0]["in_ms"].as_u64().unwrap_or_default();
    assert!((9_000_000..=10_800_000).contains(&in_ms), "the delay of the kind: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_when_a_worker_for_the_kind_was_last_seen() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--delay", "1h"]);
    let reason = || {
        let told = scene.json(&["job", "explain", &id]);
        told["reasons"].as_array().and_then(|reasons| reasons.last()).cloned().unwrap_or_default()
    };
    let never = reason();
    assert_eq!((&never["code"], &never["last_seen_ms"]), (&json!("no_worker"), &json!(null)));
    assert!(never["text"].as_str().is_some_and(|text| text.contains("last seen is not known")), "{never}");

    let worker = Background::start(&scene, &["worker", "--queue", "q=1", "--exec", "k=true"], &[]);
    eventually("a worker serves the kind", Duration::from_secs(20), || async {
        let told = reason();
        if told["code"] == "scheduled" { Ok(()) } else { Err(told) }
    })
    .await;
    let stopped = worker.stop();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let seen = reason();
    assert!(seen["last_seen_ms"].as_u64().is_some_and(|ms| ms < 60_000), "{seen}");
    let text = scene.output(&["job", "explain", &id]);
    assert!(text.contains("no live worker serves the queue q; a worker for the kind k was last seen"), "{text}");

    let _other = Background::start(&scene, &["worker", "--queue", "q=1", "--exec", "other=true"], &[]);
    eventually("a worker of another kind is there", Duration::from_secs(20), || async {
        let text = scene.output(&["job", "explain", &id]);
        let told = text.contains("has a handler for the kind k; one that had was last seen");
        if told { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_promotes_due_jobs_and_doctor_finds_nothing_wrong() {
    let scene = Scene::start().await;
    let _fleet = Background::fleet(&scene);
    let payload = r#"{"argv": ["echo", "due"]}"#;
    let id = scene.output(&["enqueue", "--kind", "command", "--queue", "q", "--delay", "1s", "--payload", payload]);
    assert_eq!(scene.output(&["job", "wait", "--timeout", "30s", &id]), format!("{id}  succeeded  \"due\\n\""));
    let content = scene.output(&["doctor"]);
    assert!(content.ends_with("nothing is wrong"), "{content}");
    assert_eq!(scene.json(&["doctor"])["findings"], json!([]));
    let reports = scene.json(&["reaper", "--once"]);
    assert!(reports.as_array().is_some_and(|steps| steps.len() > 4), "{reports}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_and_repairs_a_head_that_lost_its_hints() {
    let scene = Scene::start().await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    scene.output(&["reaper", "--once"]);
    redis::cmd("FLUSHALL").query_async::<()>(&mut scene.stores.redis.connect().await).await.expect("FLUSHALL");
    let ran = scene.run(&["doctor"]);
    assert!(ran.code == 1 && ran.stdout.contains("the head holds the front of the line"), "{ran:?}");
    let ran = scene.run(&["doctor", "--repair"]);
    assert!(!ran.stdout.contains("Redis has no hint of it"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_stats_are_shown_repeatedly() {
    let scene = Scene::start().await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    for command in [&["stats", "--watch", "100ms", "--json"][..], &["top", "100ms", "--json"]] {
        let watching = Background::start(&scene, command, &[]);
        watching.prints(2).await;
        let ran = watching.stop();
        let seen: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(ran.code == 0 && seen.len() >= 2 && seen[1]["postgres"][0]["queued"] == 1, "{ran:?}");
    }
}

/// A worker starts even if Redis is unavailable.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_starts_while_redis_is_unavailable() {
    let scene = Scene::start().await;
    let away = [("LEASEHOLD_REDIS_URL", "redis://127.0.0.1:1")];
    let worker = Background::start(&scene, &["worker", "--queue", "q", "--exec", "k=echo done"], &away);
    let mut command = scene.command(&["enqueue", "--kind", "k", "--queue", "q"]);
    command.envs(away);
    let id = run(command, b"").succeeded();
    assert_eq!(scene.output(&["job", "wait", "--timeout", "30s", &id]), format!("{id}  succeeded  \"done\\n\""));
    assert_eq!(worker.stop().code, 0);
}
