//! Workers that die on the way from a hint to a settled run.

use crate::scene::{HintPlace, Left, Scene, untouched};
use leasehold::{JobId, JobRecord, NewJob, State};
use leasehold_core::FailPoint;
use leasehold_tests::eventually;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::value::to_raw_value;

/// A job whose worker has died, and whose leases in both stores will run out.
const ORPHAN: Left = Left { state: State::Running, epoch: 1, attempt: 1, crashes: 0, hint: HintPlace::Leased };

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_was_taken_and_not_leased_is_adopted() {
    let mut scene = Scene::start().await;
    let worker = scene.mortal(&["worker", "4"], FailPoint::HintTaken);
    // Only an idle worker takes a hint with a blocking take, so the job is enqueued while the worker waits.
    let redis = scene.stores().redis.connect().await;
    eventually("the worker waits in a blocking take", super::scene::TIMEOUT, async || {
        let clients: String =
            redis::cmd("CLIENT").arg("LIST").query_async(&mut redis.clone()).await.expect("CLIENT LIST");
        if clients.contains("cmd=blmove") { Ok(()) } else { Err(clients) }
    })
    .await;
    let id = scene.enqueue().await;
    worker.dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Claimed));

    assert_eq!(scene.tick("adopt").await, 1, "within a tick");
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));
    assert_eq!(scene.ready_again(id).await, ["leases"], "after the short lease has run out");
    assert_eq!(scene.left(id).await, untouched(HintPlace::Ready), "no attempt may be spent");
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_was_leased_and_not_claimed_comes_back() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    scene.mortal(&["worker", "4"], FailPoint::HintsLeased).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    let steps = scene.ready_again(id).await;
    assert!(matches!(steps.last(), Some(&("leases" | "sweep"))), "after the hand-off lease has run out: {steps:?}");
    assert_eq!(scene.left(id).await, untouched(HintPlace::Ready), "no attempt may be spent");
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_claimed_and_not_started_expires() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    scene.mortal(&["worker", "4"], FailPoint::JobsClaimed).dead().await;
    assert_eq!((scene.left(id).await, scene.begun(id)), (ORPHAN, 0));
    comes_back_by_expiry(&mut scene, id).await;
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_in_the_handler_expires() {
    let mut scene = Scene::start().await;
    let id = scene.client.enqueue(scene.probe(1_000)).send().await.expect("enqueueing").get();
    let worker = scene.worker();
    eventually("the handler has started", super::scene::TIMEOUT, async || {
        if scene.begun(id) == 1 { Ok(()) } else { Err("not yet") }
    })
    .await;
    drop(worker);
    assert_eq!(scene.left(id).await, ORPHAN);
    comes_back_by_expiry(&mut scene, id).await;
    scene.succeeds(id, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_not_sent_is_lost_and_the_job_runs_again() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    scene.mortal(&["worker", "4"], FailPoint::RunEnded).dead().await;
    assert_eq!((scene.left(id).await, scene.begun(id)), (ORPHAN, 1));
    comes_back_by_expiry(&mut scene, id).await;
    scene.succeeds(id, 2).await;
}

async fn comes_back_by_expiry(scene: &mut Scene, id: JobId) {
    let steps = scene.ready_again(id).await;
    assert_eq!(steps.last(), Some(&"expire"), "after the lease has run out: {steps:?}");
    assert_eq!(
        scene.left(id).await,
        Left { state: State::Queued, epoch: 1, attempt: 1, crashes: 1, hint: HintPlace::Ready }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_was_not_acked_is_dropped() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    scene.mortal(&["worker", "4"], FailPoint::SettleCommitted).dead().await;
    let left = Left { state: State::Succeeded, epoch: 1, attempt: 1, crashes: 0, hint: HintPlace::Leased };
    assert_eq!(scene.left(id).await, left);

    let steps = scene.redis_is_empty().await;
    assert!(matches!(steps.last(), Some(&("leases" | "sweep"))), "after the lease in Redis has run out: {steps:?}");
    assert_eq!(scene.left(id).await, Left { hint: HintPlace::Nowhere, ..left });
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_whose_hint_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let parent = scene.enqueue().await;
    let child = scene.client.enqueue(scene.probe(0)).depends_on([parent]).send().await.expect("enqueueing").get();
    scene.mortal(&["worker", "4"], FailPoint::SettleCommitted).dead().await;
    assert_eq!(scene.left(parent).await.state, State::Succeeded);
    assert_eq!(scene.left(child).await, untouched(HintPlace::Nowhere), "in the line by the settle of its parent");

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    assert_eq!(scene.left(child).await, untouched(HintPlace::Ready));
    scene.succeeds(child, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_on_job_whose_hint_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let next = JobId::new();
    let (first, payload) = scene.followed(next);
    scene.client.enqueue_many(&[payload]).await.expect("enqueueing");
    scene.mortal(&["worker", "4"], FailPoint::SettleCommitted).dead().await;
    assert_eq!(scene.left(first).await.state, State::Succeeded);
    assert_eq!(scene.left(next).await, untouched(HintPlace::Nowhere), "in the line by the success of the first job");

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    assert_eq!(scene.left(next).await, untouched(HintPlace::Ready));
    scene.succeeds(next, 1).await;
}

/// The worker dies after its handler and before the success is sent: no job follows from this run. The second run makes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_was_not_sent_has_no_follow_on_job() {
    let mut scene = Scene::start().await;
    let next = JobId::new();
    let (first, payload) = scene.followed(next);
    scene.client.enqueue_many(&[payload]).await.expect("enqueueing");
    scene.mortal(&["worker", "4"], FailPoint::RunEnded).dead().await;
    assert_eq!((scene.left(first).await, scene.begun(first)), (ORPHAN, 1));
    assert!(scene.client.job(next).await.expect("a look").is_none());
    comes_back_by_expiry(&mut scene, first).await;
    scene.succeeds(next, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_whose_hint_was_not_acked_runs_again_when_it_is_due() {
    let scene = Scene::start().await;
    let payload = to_raw_value(&scene.probe(0)).expect("JSON");
    let job = NewJob::new("fails_once".parse().expect("a kind"), payload);
    scene.client.enqueue_many(std::slice::from_ref(&job)).await.expect("enqueueing");
    scene.mortal(&["worker", "4"], FailPoint::SettleCommitted).dead().await;
    // The retry is promoted while Redis still holds the dead worker's lease, or after that: both must work.
    let left = Left { state: State::Scheduled, epoch: 1, attempt: 1, crashes: 0, hint: HintPlace::Leased };
    assert_eq!(scene.left(job.id).await, left);
    scene.succeeds(job.id, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_job_whose_hint_was_not_given_back_returns_with_its_attempt() {
    let mut scene = Scene::start().await;
    let id = scene.client.enqueue(scene.probe(60_000)).send().await.expect("enqueueing").get();
    let worker = scene.mortal(&["worker", "4"], FailPoint::SettleCommitted);
    eventually("the handler has started", super::scene::TIMEOUT, async || {
        if scene.begun(id) == 1 { Ok(()) } else { Err("not yet") }
    })
    .await;
    kill(Pid::from_raw(worker.pid()), Signal::SIGTERM).expect("stopping a worker");
    worker.dead().await;
    let left = scene.left(id).await;
    assert_eq!(left, Left { state: State::Queued, epoch: 1, attempt: 0, crashes: 0, hint: HintPlace::Leased });

    scene.ready_again(id).await;
    let JobRecord { attempt, crashes, .. } = scene.record(id).await;
    assert_eq!((attempt, crashes), (0, 0));
    scene.client.cancel(&[id]).await.expect("cancelling");
    scene.redis_is_empty().await;
}
