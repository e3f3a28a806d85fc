//! Fair keys of `enqueue`, `queue weight`, `queue set --fair`, and pauses of a fair key.

use crate::fixture::Scene;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_a_fair_key_and_explain_says_which_share_it_waits_for() {
    let scene = Scene::start().await;
    let lines: String = (0..600).map(|_| "{\"fair_key\": \"big\"}\n").collect();
    let ids = scene.run_with_input(&["enqueue", "--kind", "k", "--stdin"], lines.as_bytes()).succeeded();
    let last = ids.lines().last().expect("an id").to_owned();
    let small = scene.output(&["enqueue", "--kind", "k", "--fair-key", "small"]);
    assert_eq!(scene.json(&["job", "show", &small])["fair_key"], json!("small"));
    scene.json(&["queue", "weight", "default", "big", "3"]);
    let reasons = scene.json(&["job", "explain", &last])["reasons"].clone();
    let parked = reasons.as_array().expect("reasons").iter().find(|reason| reason["code"] == "parked");
    let parked = parked.unwrap_or_else(|| panic!("{reasons}"));
    assert_eq!((&parked["fair_key"], &parked["weight"]), (&json!("big"), &json!(3.0)), "{parked}");
    let text = parked["text"].as_str().expect("a text");
    assert!(text.contains("of its fair key \"big\"") && text.contains("with the weight 3"), "{text}");
    assert_eq!(scene.json(&["queue", "list"])[0]["queued"], json!(601), "parked jobs wait too");
    scene.output(&["queue", "purge", "default", "--yes"]);
    assert_eq!(scene.json(&["queue", "list"])[0]["queued"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_and_the_setting_are_shown_and_keys_are_paused() {
    let scene = Scene::start().await;
    scene.run(&["queue", "weight", "q", "a", "0"]).refused(2, "from 0.001 to 1000");
    assert_eq!(scene.output(&["queue", "weight", "q", "a", "2.5"]), "in q the fair key \"a\" has the weight 2.5");
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--fair-key", "a"]);
    let paused = scene.json(&["queue", "pause", "q", "--fair-key", "a"]);
    assert_eq!(paused, json!({ "queue": "q", "fair_key": "a", "paused": true, "changed": true }));
    let shown = scene.json(&["queue", "show", "q"]);
    assert_eq!(
        (&shown["weights"], &shown["paused_fair_keys"], &shown["fair"]),
        (&json!({ "a": 2.5 }), &json!(["a"]), &json!(true))
    );
    let reasons = scene.json(&["job", "explain", &id])["reasons"].clone();
    assert_eq!(reasons[0]["code"], json!("fair_key_paused"), "{reasons}");
    assert!(scene.output(&["queue", "list"]).contains("paused fair keys: a"));
    let resumed = scene.output(&["queue", "resume", "q", "--fair-key", "a"]);
    assert_eq!(resumed, "the fair key \"a\" is resumed in q");
    scene.run(&["queue", "set", "q", "--fair", "maybe"]).refused(2, "must be on or off");
    let off = scene.json(&["queue", "set", "q", "--fair", "off"]);
    assert_eq!(off["fair"], json!(false));
    assert!(scene.output(&["queue", "show", "q"]).contains("only labels"));
    scene.run(&["queue", "pause", "q", "--fair-key", "a"]).refused(1, "only labels");
    assert_eq!(scene.json(&["queue", "set", "q", "--fair", "on"])["fair"], json!(true));
    let many = "f".repeat(513);
    scene.run(&["enqueue", "--kind", "k", "--fair-key", &many]).refused(1, "fair_key");
}
