//! Clients that die between commit and push: the job is in the line, but Redis does not know it.

use crate::scene::{HintPlace, Left, Scene, untouched};
use leasehold::{JobId, State};
use leasehold_core::FailPoint;

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let id = JobId::new();
    let log = scene.log();
    let role = ["enqueue", &id.to_string(), log.to_str().expect("a path")];
    scene.mortal(&role, FailPoint::EnqueueCommitted).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    assert_eq!(scene.left(id).await, untouched(HintPlace::Ready));
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revived_job_that_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    scene.client.cancel(&[id]).await.expect("cancelling");
    scene.mortal(&["revive", &id.to_string()], FailPoint::ReviveCommitted).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    assert_eq!(scene.left(id).await, Left { state: State::Queued, ..untouched(HintPlace::Ready) });
    scene.succeeds(id, 1).await;
}
