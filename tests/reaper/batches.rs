//! Callbacks of batches.

use crate::world::{World, kind, new_job, report};
use leasehold_core::{NewJob, WorkerId};
use leasehold_store::BatchSeal;

#[tokio::test]
async fn three_reapers_make_a_callback_once_and_push_its_hint() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    let job = NewJob { batch: Some("b".into()), ..new_job() };
    world.enqueue_these(&[job]).await;
    let seal = BatchSeal { on_complete: Some(kind("callback")), ..BatchSeal::default() };
    world.store.seal_batch("b", &seal).await.expect("seal");
    let reports = one.tick().await;
    assert_eq!(report(&reports, "batches").changed, 0, "the job is live: {reports:?}");

    let worker = WorkerId::new();
    let runs = world.take(worker, 1).await;
    world.settle(worker, &runs).await;
    let (one, two, three_reports) = tokio::join!(one.tick(), two.tick(), three.tick());
    let changed: u64 = [&one, &two, &three_reports]
        .into_iter()
        .flatten()
        .filter(|report| report.step == "batches")
        .map(|report| report.changed)
        .sum();
    assert_eq!(changed, 1, "{one:?} {two:?} {three_reports:?}");
    let callback = world.store.batches(Some("b"), 1).await.expect("batches")[0].complete_job.expect("a callback");
    assert!(world.snapshot().await.ready.contains(&callback), "the callback has a hint");
    let reports = three.tick().await;
    assert!(reports.iter().all(|report| report.step != "batches"), "no batch is awaited: {reports:?}");
}
