//! Claims for some kinds beside jobs of other kinds: neither hides the jobs of the other.

use crate::http::Served;
use leasehold_tests::Stores;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

impl Served {
    /// Enqueues this many jobs of a kind that no worker serves.
    async fn enqueue_others(&self, count: usize) {
        for _ in 0..count / 1000 {
            let jobs: Vec<Value> = (0..1000).map(|_| json!({ "kind": "other" })).collect();
            assert_eq!(self.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
        }
    }
}

/// A claim for one kind sets aside the hints of another kind. A claim of every kind gets them immediately.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_every_kind_finds_what_a_claim_for_kinds_has_set_aside() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for _ in 0..3 {
        served.enqueue("b").await;
        // One try for kind a takes the hint of b and sets it aside.
        assert!(served.claim(json!({ "worker": Uuid::now_v7(), "kinds": ["a"], "wait_ms": 0 })).await.is_empty());
        let got = served.claim(json!({ "worker": Uuid::now_v7(), "wait_ms": 1_000 })).await;
        assert_eq!(got.len(), 1, "the job waits, and nobody else wants it");
        assert_eq!(served.end(&got[0], "complete", json!({})).await.status, 200);
    }
    // The claim for kind a also waits in the same lane while the job comes.
    let waiting = served.claim(json!({ "worker": Uuid::now_v7(), "kinds": ["a"], "wait_ms": 3_000 }));
    let other = async {
        for _ in 0..3 {
            served.enqueue("b").await;
            let got = served.claim(json!({ "worker": Uuid::now_v7(), "wait_ms": 800 })).await;
            assert_eq!(got.len(), 1);
            assert_eq!(served.end(&got[0], "complete", json!({})).await.status, 200);
        }
    };
    assert!(tokio::join!(waiting, other).0.is_empty());
}

/// Ten thousand jobs of a kind that no worker serves are in front of the jobs of a claim, and do not delay it.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_kind_that_nobody_serves_delay_no_claim() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    served.enqueue_others(10_000).await;
    for _ in 0..40 {
        served.enqueue("a").await;
    }
    let worker = Uuid::now_v7();
    // Also the first one, and without a wait: the job is there.
    let (mut took, begun) = (Vec::new(), Instant::now());
    for nth in 0..40 {
        let sent = Instant::now();
        let got = served.claim(json!({ "worker": worker, "kinds": ["a"], "wait_ms": 0 })).await;
        took.push(sent.elapsed());
        assert_eq!(got.len(), 1, "claim {nth} after {:?}", begun.elapsed());
        assert_eq!(served.end(&got[0], "complete", json!({})).await.status, 200);
    }
    took.sort();
    assert!(took[20] < Duration::from_millis(250), "{took:?}");
    assert!(served.claim(json!({ "worker": worker, "kinds": ["a"], "wait_ms": 0 })).await.is_empty());
}
