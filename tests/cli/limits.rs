//! `leasehold limit`, and limit keys of `enqueue`.

use crate::fixture::Scene;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_listed_shown_explained_and_removed() {
    let scene = Scene::start().await;
    assert_eq!(scene.output(&["limit", "list"]), "no limits");
    scene.run(&["limit", "set", "k"]).refused(2, "nothing to set: give --running, --rate or both");
    scene.run(&["limit", "show", "k"]).refused(1, "no limit is set for k");
    let set = scene.json(&["limit", "set", "cluster-a", "--running", "0"]);
    assert_eq!((&set["key"], &set["running"], &set["rate"]), (&json!("cluster-a"), &json!(0), &json!(null)));
    scene.json(&["limit", "set", "mail*", "--rate", "600/m", "--burst", "20"]);
    scene
        .run(&["limit", "show", "mail-5"])
        .refused(1, "the pattern mail* holds for it: `leasehold limit show 'mail*'`");
    scene.run(&["limit", "show", "ma"]).refused(1, "no limit is set for ma");
    let id = scene.output(&["enqueue", "--kind", "k", "--limit-key", "free", "--limit-key", "cluster-a"]);
    let record = scene.json(&["job", "show", &id]);
    assert_eq!((&record["limit_keys"], &record["state"]), (&json!(["free", "cluster-a"]), &json!("queued")));
    let reason = &scene.json(&["job", "explain", &id])["reasons"][0];
    assert_eq!((&reason["code"], &reason["limit_key"]), (&json!("limited"), &json!("cluster-a")), "{reason}");
    let list = scene.json(&["limit", "list"]);
    assert_eq!((&list[0]["waiting"], &list[1]["burst"]), (&json!(1), &json!(20)), "{list}");
    let removed = scene.json(&["limit", "remove", "cluster-a"]);
    assert_eq!(removed, json!({ "key": "cluster-a", "removed": true }));
    assert_eq!(scene.json(&["limit", "list"]).as_array().map(Vec::len), Some(1));
}
