//! What a run of an HTTP worker tells while it runs: who sees it, and how much is kept.

use crate::http::Served;
use leasehold_tests::Stores;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_how_far_it_is() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let id = served.enqueue("k").await;
    let job = served.claim(json!({ "worker": Uuid::now_v7() })).await.pop().expect("the job");
    let shown = async || served.get(&format!("/v1/jobs/{id}")).await.json()["progress"].clone();
    assert_eq!(shown().await, Value::Null, "it has told nothing");
    for (body, done) in [
        (json!({ "progress": 0.25, "note": "page 1" }), json!(0.25)),
        (json!({ "note": "page 2" }), json!(0.25)),
        (json!({ "progress": 1 }), json!(1.0)),
    ] {
        let told = served.end(&job, "progress", body).await;
        assert_eq!((told.status, told.json()), (200, json!({ "written": true, "cancel_wanted": false })));
        assert_eq!(shown().await["done"], done);
    }
    let notes = async || -> Vec<(u64, String)> {
        let shown = shown().await;
        let notes = shown["notes"].as_array().expect("notes");
        notes
            .iter()
            .map(|note| (note["nth"].as_u64().expect("nth"), note["note"].as_str().expect("a note").to_owned()))
            .collect()
    };
    assert_eq!(notes().await, [(1, "page 1".to_owned()), (2, "page 2".to_owned())]);
    for nth in 3..=20 {
        let note = format!("{nth} {}", "é".repeat(400));
        assert_eq!(served.end(&job, "progress", json!({ "note": note })).await.status, 200);
    }
    let kept = notes().await;
    assert_eq!((kept.len(), kept[0].0, kept[15].0), (16, 5, 20), "the latest sixteen");
    assert!(kept.iter().all(|(nth, note)| note.len() <= 500 && note.starts_with(&nth.to_string())), "{kept:?}");

    assert_eq!(served.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await.status, 200);
    assert_eq!(served.end(&job, "progress", json!({ "progress": 0.5 })).await.json()["cancel_wanted"], true);
    assert_eq!(served.end(&job, "progress", json!({})).await.pointers(), ["/progress"]);
    for wrong in [json!("half"), json!(7), json!(-0.1)] {
        assert_eq!(
            served.end(&job, "progress", json!({ "progress": wrong })).await.pointers(),
            ["/progress"],
            "{wrong}"
        );
    }
    let stranger = json!({ "id": job["id"], "epoch": 1, "worker": Uuid::now_v7() });
    assert_eq!(served.end(&stranger, "progress", json!({ "progress": 0.9 })).await.code(), "lease_lost");
    assert_eq!(served.end(&job, "release", json!({})).await.json()["state"], "cancelled");
    assert_eq!(served.end(&job, "progress", json!({ "progress": 0.9 })).await.code(), "lease_lost");
    assert_eq!(shown().await["done"], 0.5, "the last part is kept");
}
