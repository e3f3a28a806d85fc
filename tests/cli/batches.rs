//! `leasehold batch`, and the batch of a job in the other commands.

use crate::{fixture::Scene, process::Background};
use serde_json::Value;
use std::{fs, time::Duration};

const KINDS: [&str; 4] = ["--exec", "k=! grep -q bad", "--exec", "report=cat"];

fn fleet(scene: &Scene) -> [Background; 2] {
    let quick = [("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "100")];
    let mut worker = vec!["worker", "--queue", "q=4", "--queue", "default"];
    worker.extend(KINDS);
    [Background::start(scene, &worker, &quick), Background::start(scene, &["reaper"], &quick)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_filled_sealed_and_waited_for() {
    let scene = Scene::start().await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--batch", "b"]);
    let lines = "{}\n{\"payload\": \"bad\", \"max_attempts\": 1}\n{\"batch\": \"other\"}\n";
    let args = ["enqueue", "--stdin", "--kind", "k", "--queue", "q", "--batch", "b"];
    scene.run_with_input(&args, lines.as_bytes()).succeeded();
    let shown = scene.json(&["batch", "show", "b"]);
    assert_eq!(
        (&shown["queued"], &shown["total"], &shown["sealed_at"]),
        (&3.into(), &3.into(), &Value::Null),
        "{shown}"
    );
    assert_eq!(scene.json(&["job", "list", "--batch", "b"]).as_array().map(Vec::len), Some(3));
    assert_eq!(scene.json(&["job", "list", "--batch", "b", "--state", "dead"]).as_array().map(Vec::len), Some(0));
    let counted = scene.output(&["job", "cancel", "--batch", "other", "--dry-run"]);
    assert!(counted.contains('1'), "{counted}");
    scene.output(&["job", "priority", "--batch", "other", "--yes", "7"]);
    let other = scene.json(&["job", "list", "--batch", "other"]);
    assert_eq!((&other[0]["priority"], &other[0]["batch"]), (&7.into(), &"other".into()), "{other}");

    scene.run(&["batch", "wait", "b", "--timeout", "100ms"]).refused(1, "the batch \"b\" has live jobs");
    let sealed = scene.json(&[
        "batch",
        "seal",
        "b",
        "--on-complete",
        "report",
        "--on-success",
        "report",
        "--on-death",
        "report",
    ]);
    assert!(sealed["sealed_at"].is_string(), "{sealed}");
    scene.run(&["batch", "seal", "b"]).refused(1, "sealed already, with other callbacks");
    scene.run(&["enqueue", "--kind", "k", "--batch", "b"]).said("the batch 'b' is sealed since");
    let each = scene.run_with_input(&["each", "--batch", "b", "--", "cat"], b"a new line\n");
    each.refused(2, "the batch \"b\" is sealed, so it takes no line that it does not have yet");
    each.said("the same command with another --batch, or without --batch");
    assert!(!each.stderr.contains("--batch b"), "{each:?}");
    scene.run(&["batch", "show", "none"]).refused(1, "there is no batch \"none\"");

    let _fleet = fleet(&scene);
    let waited = scene.run(&["batch", "wait", "b", "--timeout", "60s"]);
    assert_eq!((waited.code, waited.stdout.as_str()), (1, "b  2 succeeded  1 dead  0 cancelled\n"), "{waited:?}");
    let shown = scene.json(&["batch", "show", "b"]);
    assert_eq!(shown["success_job"], Value::Null, "{shown}");
    for (event, job) in [("complete", "complete_job"), ("death", "death_job")] {
        let id = shown[job].as_str().unwrap_or_else(|| panic!("{job}: {shown}"));
        scene.output(&["job", "wait", "--timeout", "60s", id]);
        let result = &scene.json(&["job", "show", id])["result"];
        assert_eq!((&result["event"], &result["batch"]), (&event.into(), &"b".into()), "{result}");
    }
    assert_eq!(
        scene.output(&["batch", "wait", "other", "--timeout", "60s"]),
        "other  1 succeeded  0 dead  0 cancelled"
    );
    let list = scene.output(&["batch", "list"]);
    assert!(list.contains("complete") && list.contains("open"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_cancelled() {
    let scene = Scene::start().await;
    let lines = "{\"kind\": \"k\", \"batch\": \"b\"}\n".repeat(2500);
    scene.run_with_input(&["enqueue", "--stdin"], lines.as_bytes()).succeeded();
    assert_eq!(scene.json(&["batch", "cancel", "b"])["cancelled"], 2500);
    let waited = scene.run(&["batch", "wait", "b"]);
    assert_eq!((waited.code, waited.stdout.as_str()), (1, "b  0 succeeded  0 dead  2,500 cancelled\n"), "{waited:?}");
}

/// The jobs of `each` belong to its batch, and begin in the order of their lines.
#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_each_are_a_batch_and_begin_in_order() {
    let scene = Scene::start().await;
    let input: String = (0..1500).map(|nth| format!("{nth}\n")).collect();
    fs::write(scene.folder().join("lines"), &input).expect("written");
    let args =
        ["each", "--queue", "q", "--batch", "b", "--from", "lines", "--", "sh", "-c", "echo \"$1\" >> runs", "sh"];
    let each = Background::start(&scene, &args, &[]);
    leasehold_tests::eventually("all jobs exist", Duration::from_secs(60), async || {
        let shown = scene.run(&["batch", "show", "b", "--json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap_or_default();
        if shown["queued"] == 1500 { Ok(()) } else { Err(shown) }
    })
    .await;
    let mut sql = scene.sql().await;
    let order = "SELECT payload->'argv'->>4 FROM leasehold.job ORDER BY line_at, id";
    let order: Vec<String> = sqlx::query_scalar(order).fetch_all(&mut sql).await.expect("read");
    assert_eq!(order, input.lines().collect::<Vec<_>>());
    let ahead =
        "SELECT count(*) FROM leasehold.job WHERE run_at > created_at OR run_at < created_at - interval '5 seconds'";
    let ahead: i64 = sqlx::query_scalar(ahead).fetch_one(&mut sql).await.expect("counted");
    assert_eq!(ahead, 0, "a line waits no longer than others, and passes no job that came before");
    scene.output(&["batch", "cancel", "b"]);
    assert_eq!(each.ended(Duration::from_secs(60)).code, 1);
}
