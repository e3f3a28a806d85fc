//! The five ways in which the system by hand lost a document. Each test kills the process at the point, and prints how long the
//! document was left alone. The lease is a second, and the tick of the reaper is 50 ms.

use crate::scene::{SOON, Scene};
use leasehold_core::FailPoint;
use leasehold_tests::eventually;
use sqlx::{Connection, PgConnection};
use std::time::Instant;

/// A transaction that keeps every other transaction from writing into the documents.
async fn hold_documents(scene: &Scene) -> PgConnection {
    let mut somebody = scene.pool.acquire().await.expect("a connection").detach();
    sqlx::raw_sql("BEGIN; LOCK TABLE extraction.document IN EXCLUSIVE MODE")
        .execute(&mut somebody)
        .await
        .expect("a lock");
    somebody
}

async fn until_a_handler_waits(scene: &Scene) {
    eventually("a handler waits in its transaction", SOON, || async {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted AND l.relation = 'extraction.document'::regclass)",
        )
        .fetch_one(&scene.pool)
        .await
        .expect("locks");
        if waits { Ok(()) } else { Err("nobody waits") }
    })
    .await;
}

/// Without a queue: the row existed, but no process was notified. Here: the row and the job are one transaction, and a reaper
/// pushes the job to Redis.
#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_died_between_row_and_publish() {
    let scene = Scene::start().await;
    let submit = ["submit", "orphan", "total=119 vat=19"];
    scene.process(&submit, Some(FailPoint::EnqueueCommitted)).dead().await;
    let since = Instant::now();
    assert_eq!(scene.jobs("extraction/extract").await, (1, 0));
    let _fleet = [scene.reaper(), scene.worker()];
    scene.revived("a submit that died between row and publish", "orphan", since).await;
}

/// By hand: the delay was a timer in the process. Here: the job is scheduled in PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_retry_whose_process_died() {
    let scene = Scene::start().await;
    scene.submit("orphan").await;
    let worker = scene.process(&["extraction", "1", "--refuses-first"], None);
    let reaper = scene.reaper();
    scene.until("extraction/extract", "scheduled").await;
    worker.kill();
    let since = Instant::now();
    let _fleet = [reaper, scene.worker()];
    scene.revived("a delayed retry whose process died", "orphan", since).await;
}

/// By hand: the document stayed in the state `running`. Here: the lease runs out.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_in_its_run() {
    let scene = Scene::start().await;
    let _reaper = scene.reaper();
    scene.submit("orphan").await;
    let worker = scene.process(&["extraction", "60000"], None);
    scene.until("extraction/extract", "running").await;
    worker.kill();
    let since = Instant::now();
    let _worker = scene.worker();
    scene.revived("a worker that died in its run", "orphan", since).await;
    assert_eq!(scene.jobs("extraction/extract").await, (1, 2), "the first stage has run twice");
}

/// By hand: the result was written, and the second stage was never published. Here: either both are written or neither, so the
/// test kills the worker before the commit, and in the second round after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_stage_that_died_before_it_published_the_second() {
    let scene = Scene::start().await;
    let _reaper = scene.reaper();
    scene.submit("orphan").await;
    let somebody = hold_documents(&scene).await;
    let worker = scene.worker();
    until_a_handler_waits(&scene).await;
    worker.kill();
    let since = Instant::now();
    somebody.close().await.expect("closed");
    assert_eq!(scene.jobs("extraction/summarize").await, (0, 0), "nothing was committed");
    let _worker = scene.worker();
    scene.revived("a first stage that died before its commit", "orphan", since).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_stage_that_died_after_its_commit() {
    let scene = Scene::start().await;
    scene.submit("orphan").await;
    let reaper = scene.reaper();
    // The handler has committed; the worker has neither asked about the commit nor pushed the second stage to Redis.
    scene.process(&["extraction", "1"], Some(FailPoint::RunEnded)).dead().await;
    let since = Instant::now();
    assert_eq!(scene.document("orphan").await.1, "extracted");
    assert_eq!(scene.jobs("extraction/summarize").await.0, 1, "the second stage is there");
    let _fleet = [reaper, scene.worker()];
    scene.revived("a first stage that died after its commit", "orphan", since).await;
    assert_eq!(scene.jobs("extraction/extract").await, (1, 1), "the first stage has run once");
}

/// Without a queue: no process was responsible for the second stage. Here: it is a job like the first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_stage_that_died() {
    let scene = Scene::start().await;
    let _reaper = scene.reaper();
    scene.submit("orphan").await;
    let worker = scene.process(&["extraction", "300"], None);
    scene.until("extraction/summarize", "running").await;
    worker.kill();
    let since = Instant::now();
    let _worker = scene.worker();
    scene.revived("a second stage that died", "orphan", since).await;
    assert_eq!(scene.jobs("extraction/extract").await, (1, 1), "the model is not paid twice for the first stage");
}
