//! Reapers that die between two writes of a step. Each step may run twice: the next tick of any reaper repeats it.

use crate::scene::{HintPlace, Left, Scene, TIMEOUT, untouched};
use leasehold::{JobId, QueueName, State};
use leasehold_core::{FailPoint, WorkerId};
use leasehold_store::Kinds;
use leasehold_tests::eventually;
use std::time::Duration;

/// For leases that last longer than a test.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_job_that_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let job = scene.client.enqueue(scene.probe(0)).delay(Duration::from_millis(100));
    let id = job.send().await.expect("enqueueing").get();
    scene.dead(scene.mortal(&["reaper"], FailPoint::PromoteCommitted)).await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_job_whose_lease_still_stands_in_redis_is_swept_back() {
    let mut scene = Scene::start().await;
    let id = orphan(&scene, LONG, Duration::from_millis(10)).await;
    scene.dead(scene.mortal(&["reaper"], FailPoint::ExpireCommitted)).await;
    let left = Left { state: State::Queued, epoch: 1, attempt: 1, crashes: 1, hint: HintPlace::Leased };
    assert_eq!(scene.left(id).await, left);

    assert_eq!(scene.ready_again(id).await, ["sweep"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_notice_that_was_not_sent_is_sent_again() {
    let mut scene = Scene::start().await;
    let id = orphan(&scene, LONG, LONG).await;
    scene.store.cancel(&[id]).await.expect("cancelling");
    scene.dead(scene.mortal(&["reaper"], FailPoint::CancelsRead)).await;
    assert_eq!(scene.left(id).await.state, State::Running);

    let mut notices = scene.handoff.listen();
    eventually("the notice arrives", TIMEOUT, async || {
        scene.reaper.tick().await;
        match tokio::time::timeout(Duration::from_millis(100), notices.recv()).await {
            Ok(Some(leasehold_handoff::Notice::Cancel { id: told, .. })) if told == id => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_hint_needs_no_second_adoption() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    let mut taker = scene.handoff.taker(&QueueName::default()).await.expect("a taker");
    assert_eq!(taker.take(TIMEOUT).await.expect("a take"), Some(id));
    scene.dead(scene.mortal(&["reaper"], FailPoint::HintsAdopted)).await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["leases"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_handled_again() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    lease(&scene, Duration::from_millis(10)).await;
    scene.dead(scene.mortal(&["reaper"], FailPoint::LeasesRead)).await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["leases"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_read_and_not_pushed_is_read_again() {
    let mut scene = Scene::start().await;
    let job = leasehold::NewJob::new(
        "probe".parse().expect("a kind"),
        serde_json::value::to_raw_value(&scene.probe(0)).expect("JSON"),
    );
    scene.store.enqueue(std::slice::from_ref(&job)).await.expect("enqueueing");
    scene.dead(scene.mortal(&["reaper"], FailPoint::LineRead)).await;
    assert_eq!(scene.left(job.id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    scene.succeeds(job.id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_was_found_and_not_repaired_is_found_again() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    // The lease is so long that it never runs out: only the comparison of the stores finds the drift.
    lease(&scene, LONG).await;
    scene.dead(scene.mortal(&["reaper"], FailPoint::DriftRead)).await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["sweep"]);
    scene.succeeds(id, 1).await;
}

/// Takes and leases the waiting hint, as a worker does before a claim.
async fn lease(scene: &Scene, lease: Duration) -> Vec<JobId> {
    scene.handoff.take(&QueueName::default(), &[], &[], 1, lease).await.expect("a take in Redis").ids
}

/// A job that was claimed by a worker that no longer exists.
async fn orphan(scene: &Scene, in_redis: Duration, in_postgres: Duration) -> JobId {
    let id = scene.enqueue().await;
    let ids = lease(scene, in_redis).await;
    assert_eq!(ids, [id]);
    let claimed = scene.store.claim(WorkerId::new(), &ids, &Kinds::All, in_postgres).await.expect("a claim");
    assert_eq!(claimed.len(), 1);
    id
}
