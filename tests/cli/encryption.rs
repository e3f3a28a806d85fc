//! Encrypted payloads from the view of a user: each command round trip, what a process without keys sees, and that no row and no line of a
//! log has the plain text.

use crate::{
    fixture::{Ran, Scene, run},
    process::Background,
};
use leasehold_tests::eventually;
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "4111-1111";
const KEYS: [(&str, &str); 1] = [("LEASEHOLD_ENCRYPTION__KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
const ALL_LOGS: (&str, &str) =
    ("LEASEHOLD_LOG__FILTER", "debug,leasehold=trace,leasehold_worker=trace,leasehold_store=trace");

impl Scene {
    fn with_keys(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.envs(KEYS);
        run(command, input.as_bytes())
    }

    fn json_with_keys(&self, args: &[&str]) -> Value {
        let text = self.with_keys(&[args, &["--json"]].concat(), "").succeeded();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The rows of all tables that have the secret.
    async fn leaks(&self) -> Vec<String> {
        leasehold_tests::leaks(&mut self.sql().await, SECRET).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_encrypts_and_decrypts_and_nothing_else_can_read() {
    let scene = Scene::start().await;
    let set = scene.output(&["queue", "set", "cards", "--encrypted", "on"]);
    assert_eq!(set, "cards takes encrypted payloads only");
    assert!(scene.output(&["queue", "show", "cards"]).contains("encryption     takes encrypted payloads only"));
    assert!(scene.output(&["queue", "list"]).contains("cards (encrypted)"));
    assert_eq!(scene.json(&["queue", "show", "cards"])["encrypted"], json!(true));

    let payload = format!(r#"{{"card":"{SECRET}"}}"#);
    let enqueue = ["enqueue", "--kind", "charge", "--queue", "cards", "--payload", &payload];
    let mut ids = vec![scene.with_keys(&enqueue, "").succeeded()];
    let lines = format!("{{\"kind\":\"charge\",\"queue\":\"cards\",\"payload\":{payload}}}\n").repeat(2);
    let told = scene.with_keys(&["enqueue", "--stdin"], &lines).succeeded();
    ids.extend(told.lines().map(str::to_owned));
    let graph = format!(
        r#"{{"jobs":[{{"name":"a","kind":"charge","queue":"cards","payload":{payload}}},
                     {{"name":"b","kind":"parents","queue":"cards","payload":{payload},"after":["a"]}}]}}"#
    );
    let submitted = scene.with_keys(&["graph", "submit", "-"], &graph).succeeded();
    let of_graph: Vec<String> =
        submitted.split_whitespace().filter(|word| word.len() == 36).map(str::to_owned).collect();
    assert_eq!(of_graph.len(), 2, "{submitted}");
    ids.extend(of_graph.iter().cloned());
    let schedule =
        ["schedule", "set", "s", "--every", "1h", "--kind", "charge", "--queue", "cards", "--payload", &payload];
    scene.with_keys(&schedule, "").succeeded();
    assert_eq!(scene.json_with_keys(&["schedule", "show", "s"])["payload"], json!({ "card": SECRET }));
    ids.push(scene.with_keys(&["schedule", "run", "s"], "").succeeded());
    assert_eq!(scene.leaks().await, [""; 0]);

    // The command gets the payload, and its result and its follow-on job are encrypted.
    let follow = r#"cat; printf '{"enqueue":{"kind":"last","queue":"cards","payload":"4111-1111"}}\n' >&3"#;
    let variables = [KEYS[0], ALL_LOGS];
    let worker = Background::start(
        &scene,
        &[
            "worker",
            "--queue",
            "cards=2",
            "--exec",
            &format!("charge={follow}"),
            "--exec",
            "parents=cat \"$LEASEHOLD_PARENTS\"",
            "--exec",
            "last=cat",
        ],
        &variables,
    );
    let reaper = Background::start(&scene, &["reaper"], &[ALL_LOGS]);
    for id in &ids {
        let ended = scene.json_with_keys(&["job", "wait", id]);
        assert_eq!(ended["state"], json!("succeeded"), "{ended}");
        let shown = scene.json_with_keys(&["job", "show", id]);
        assert_eq!(shown["payload"], json!({ "card": SECRET }), "{shown}");
    }
    let result = scene.json_with_keys(&["job", "show", &ids[0]])["result"].clone();
    assert_eq!(result, json!({ "card": SECRET }));
    let of_parents = scene.json_with_keys(&["job", "show", &of_graph[1]])["result"].clone();
    assert_eq!(of_parents[0]["result"], json!({ "card": SECRET }), "{of_parents}");
    eventually("the follow-on jobs end", Duration::from_secs(20), async || {
        let jobs = scene.json_with_keys(&["job", "list", "--kind", "last"]);
        let ended = jobs.as_array().expect("jobs").iter().filter(|job| job["result"] == json!(SECRET)).count();
        if ended == 5 { Ok(()) } else { Err(jobs) }
    })
    .await;
    assert_eq!(scene.leaks().await, [""; 0]);
    for process in [&worker, &reaper] {
        assert!(!process.said().contains(SECRET), "{}", process.said());
    }
    let used = scene.json_with_keys(&["encryption", "keys"]);
    assert_eq!((&used["current"], &used["known"]), (&json!("k1"), &json!(["k1"])));
    let of = |place: &str| used["used"].as_array().expect("a list").iter().find(|used| used["place"] == place).cloned();
    assert_eq!(of("finished"), Some(json!({ "key": "k1", "place": "finished", "count": 11, "known": true })), "{used}");
    assert!(scene.output(&["encryption", "keys"]).contains("this process does not have it"));

    // Without keys.
    let shown = scene.json(&["job", "show", &ids[0]]);
    let told = |what: &str| json!({ "$encrypted": format!("the {what} is encrypted with key k1, which this process does not have") });
    assert_eq!((&shown["payload"], &shown["result"]), (&told("payload"), &told("result")));
    assert_eq!(shown["state"], json!("succeeded"));
    scene.run(&enqueue).refused(1, "queue cards takes encrypted payloads, and this one is not encrypted");
    scene.run(&schedule).refused(1, "queue cards takes encrypted payloads, and this one is not encrypted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_key_gives_jobs_back_to_those_that_have_it() {
    let scene = Scene::start().await;
    scene.output(&["queue", "set", "cards", "--encrypted", "on"]);
    let enqueue = ["enqueue", "--kind", "charge", "--queue", "cards", "--payload", "\"4111-1111\""];
    let ids: Vec<String> = (0..3).map(|_| scene.with_keys(&enqueue, "").succeeded()).collect();
    let work = ["worker", "--queue", "cards", "--exec", "charge=cat"];
    let without = Background::start(&scene, &work, &[ALL_LOGS]);
    without.says("which this process does not have").await;
    eventually("all jobs are given back", Duration::from_secs(20), async || {
        let jobs = scene.json(&["job", "list", "--queue", "cards", "--state", "scheduled"]);
        if jobs.as_array().expect("jobs").len() == 3 { Ok(()) } else { Err(jobs) }
    })
    .await;
    let told = "the payload is encrypted with key k1, which this process does not have";
    let warned = without.said().lines().filter(|line| line.contains("WARN") && line.contains(told)).count();
    assert_eq!(warned, 1, "{}", without.said());
    let why = scene.output(&["job", "explain", &ids[0]]);
    assert!(why.contains(told) && why.contains("0 of 5 attempts are spent"), "{why}");
    drop(without);

    let _with = Background::start(&scene, &work, &KEYS);
    for id in &ids {
        scene.output(&["job", "retry", id]);
        assert_eq!(scene.json_with_keys(&["job", "wait", id])["result"], json!(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_prints_the_results_of_an_encrypted_queue() {
    let scene = Scene::start().await;
    scene.output(&["queue", "set", "cards", "--encrypted", "on"]);
    let each = ["each", "--queue", "cards", "--jobs", "2", "--", "echo", "card", "{}"];
    let printed = scene.with_keys(&each, "4111-1111\n4111-1112\n").succeeded();
    assert_eq!(printed, "card 4111-1111\ncard 4111-1112");
    assert_eq!(scene.leaks().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_keys_stop_the_program_and_are_not_shown() {
    let scene = Scene::start().await;
    let mut command = scene.command(&["queue", "list"]);
    command.env("LEASEHOLD_ENCRYPTION__KEYS", "k1:c2hvcnQ=");
    let ran = run(command, b"");
    ran.refused(2, "encryption.keys has a bad key at place 1");
    assert!(!ran.stderr.contains("c2hvcnQ"), "{ran:?}");
}
