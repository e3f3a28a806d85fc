//! `leasehold graph …`, and jobs that depend on other jobs.

use crate::{fixture::Scene, process::Background};
use leasehold_tests::eventually;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// The id of each named job.
fn ids(printed: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once("  ").map(|(name, id)| (name.trim().to_owned(), id.trim().to_owned()));
    printed.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{line:?}"))).collect()
}

fn worker(scene: &Scene) -> Background {
    // The result of a job: its parents, by kind.
    let sum = r#"if [ -n "$LEASEHOLD_PARENTS" ]; then cat "$LEASEHOLD_PARENTS"; else cat; fi"#;
    let any = format!("*={sum}");
    Background::start(scene, &["worker", "--queue", "default=4", "--exec", &any, "--exec", "fail=exit 65"], &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_submitted_shown_and_run_with_the_results_of_parents() {
    let scene = Scene::start().await;
    let graph = json!({"jobs": [
        {"name": "sum", "kind": "sum", "after": ["left", "right"]},
        {"name": "left", "kind": "number", "payload": 1},
        {"name": "right", "kind": "number", "payload": {"b": 1, "a": 2.50}},
        {"kind": "mail", "after": ["sum"], "on_parent_failure": "run"},
    ]});
    std::fs::write(scene.folder().join("graph.json"), graph.to_string()).expect("a file");
    let printed = scene.output(&["graph", "submit", "graph.json"]);
    let ids = ids(&printed);
    assert_eq!(ids.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["sum", "left", "right", "-"]);
    let (sum, mail) = (ids[0].1.clone(), ids[3].1.clone());

    let explained = scene.json(&["job", "explain", &sum]);
    assert_eq!(explained["reasons"][0]["code"], "blocked_by");
    assert_eq!(explained["reasons"][0]["count"], 2);
    assert_eq!(explained["reasons"][0]["parents"][0]["state"], "queued");
    let text = explained["reasons"][0]["text"].as_str().expect("a text");
    assert_eq!(text, format!("it waits for 2 jobs: {} (queued), {} (queued)", ids[1].1, ids[2].1));

    let shown = scene.json(&["graph", "show", &mail]);
    assert_eq!((shown["jobs"].as_array().map(Vec::len), shown["edges"].as_array().map(Vec::len)), (Some(4), Some(3)));
    let tree = scene.output(&["graph", "show", &sum]);
    assert!(tree.contains("└─ ◌ sum  ") && tree.contains("(2 parents)  ◀") && tree.contains("◌ mail"), "{tree}");
    let diagram = scene.output(&["graph", "show", &sum, "--mermaid"]);
    assert!(diagram.starts_with("flowchart TD\n") && diagram.matches("-.->").count() == 3, "{diagram}");

    let _worker = worker(&scene);
    scene.output(&["job", "wait", &mail, "--timeout", "30s"]);
    let parents = &scene.json(&["job", "show", &sum])["result"];
    assert_eq!(parents[0]["id"], ids[1].1.as_str());
    assert_eq!((&parents[0]["result"], &parents[1]["result"]), (&json!(1), &json!({"b": 1, "a": 2.50})));
    assert_eq!((&parents[1]["kind"], &parents[1]["state"]), (&json!("number"), &json!("succeeded")));
    let tree = scene.output(&["graph", "show", &sum]);
    assert_eq!(tree.matches('✓').count(), 5, "each job once, and one again: {tree}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_parent_cancels_holds_or_runs_its_children() {
    let scene = Scene::start().await;
    let parent = scene.output(&["enqueue", "--kind", "fail", "--delay", "1s"]);
    let child = |policy: &str| {
        scene.output(&["enqueue", "--kind", "k", "--depends-on", &parent, "--on-parent-failure", policy])
    };
    let (cancelled, held, run) = (child("cancel"), child("hold"), child("run"));
    let line = json!({"kind": "k", "depends_on": [held, run]}).to_string();
    let last = scene.run_with_input(&["enqueue", "--stdin"], line.as_bytes()).succeeded();
    let _worker = worker(&scene);
    let _reaper = Background::start(&scene, &["reaper"], &[]);
    let state = |id: &str| scene.json(&["job", "show", id])["state"].clone();
    eventually("the children follow", SOON, async || {
        let states = [state(&cancelled), state(&held), state(&run), state(&last)];
        if states == [json!("cancelled"), json!("blocked"), json!("succeeded"), json!("blocked")] {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    })
    .await;
    let why = scene.json(&["job", "show", &cancelled]);
    assert_eq!(why["last_error"], format!("its parent {parent} is dead"));
    let text = scene.output(&["job", "explain", &held]);
    assert!(text.contains(&format!("it waits for 1 job: {parent} (dead; held until it is retried)")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_graph_is_refused_by_name() {
    let scene = Scene::start().await;
    let nobody = "00000000-0000-7000-8000-000000000001";
    let submit = |graph: Value| scene.run_with_input(&["graph", "submit", "-"], graph.to_string().as_bytes());
    for (graph, code, told) in [
        (json!({"jobs": [{"name": "a", "kind": "k", "after": ["a"]}]}), 2, "a depends on itself"),
        (
            json!({"jobs": [{"name": "a", "kind": "k", "after": ["b"]}, {"name": "b", "kind": "k", "after": ["a"]}]}),
            2,
            "the jobs depend on each other in a cycle: a → b → a",
        ),
        (json!({"jobs": [{"name": "a", "kind": "k", "after": ["z"]}]}), 2, "no job of the graph has this name"),
        (json!({"jobs": [{"name": "a", "kind": "k", "aftr": ["z"]}]}), 2, "unknown field `aftr`"),
        (json!({"jobs": [{"name": "a", "kind": "k", "after": "z"}]}), 2, "after must be an array of strings"),
        (json!({"jobs": [{"name": "a", "kind": "k", "priority": 101}]}), 2, "job 1 (a): priority is 101"),
        (json!({"jobs": [{"name": "a"}]}), 2, "job 1 (a): kind is missing"),
        (
            json!({"jobs": [{"name": "a", "kind": "k", "on_parent_failure": "x"}]}),
            2,
            "\"x\" is not one of cancel, hold, run",
        ),
        (json!({"job": []}), 2, "standard input is no graph: unknown field `job`"),
        (json!({"jobs": []}), 2, "standard input is no graph: its list of jobs is empty"),
        (json!([]), 2, "standard input is no graph: it must be an object with a list of jobs"),
        (json!([{"kind": "k"}]), 2, "standard input is no graph: it must be an object with a list of jobs"),
        (json!({"jobs": [{"kind": "k", "depends_on": [nobody]}]}), 1, nobody),
    ] {
        submit(graph).refused(code, told);
    }
    scene.run(&["graph", "submit", "nowhere.json"]).refused(2, "cannot read nowhere.json");
    scene.run(&["graph", "show", nobody]).refused(1, nobody);
    scene.run(&["enqueue", "--kind", "k", "--depends-on", nobody]).refused(1, "and no job has this id");
    scene.run(&["enqueue", "--kind", "k", "--depends-on", nobody, "--delay", "1s"]).refused(2, "--delay");
    let line = json!({"kind": "k", "name": "a"}).to_string();
    let ran = scene.run_with_input(&["enqueue", "--stdin"], line.as_bytes());
    ran.refused(2, "name and after belong to `leasehold graph submit`");
    assert_eq!(scene.contents().await.jobs, "[]");
}
