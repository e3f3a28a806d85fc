//! A job that waits because a session has locked its row: the finding names the session.

use crate::world::{World, new_job};
use leasehold_core::{FinishedRun, NewJob, Settle, State, WorkerId};
use leasehold_reaper::examine;
use sqlx::Connection as _;

/// Somebody enqueues a child of a running job and leaves the transaction open: the settle of the job, and a reaper, must wait.
#[tokio::test]
async fn the_finding_names_the_session_that_holds_the_parent() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue_and_push(1).await;
    let run = world.take(WorkerId::new(), 1).await.remove(0).fence.id;
    world
        .sql(format!("UPDATE leasehold.job SET lease_expires_at = now() - interval '2 minutes' WHERE id = '{run}'"))
        .await;

    let mut somebody = world.stores.database.connect().await;
    sqlx::query("SET application_name = 'the nightly import'").execute(&mut somebody).await.expect("a name");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut somebody).await.expect("a pid");
    let mut open = somebody.begin().await.expect("a transaction");
    sqlx::query("SELECT leasehold.enqueue('k', '{}', depends_on => ARRAY[$1])")
        .bind(run.0)
        .execute(&mut *open)
        .await
        .expect("a child");
    reaper.tick().await;

    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    let told = format!("the session of pid {pid} (the nightly import) has locked its row");
    for check in ["expired leases are ended", "no row waits for a reaper"] {
        let finding = examination.findings.iter().find(|finding| finding.check == check);
        let finding = finding.unwrap_or_else(|| panic!("{check}: {:#?}", examination.findings));
        let text = format!("{finding:?}");
        assert!(text.contains(&told) && text.contains("end its transaction"), "{text}");
    }
    open.rollback().await.expect("a rollback");
    reaper.tick().await;
    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    let texts = format!("{:?}", examination.findings);
    assert!(!texts.contains(&told), "{texts}");
}

/// Somebody has locked one of the children of a job that has ended. A reaper tells the other child, and notes the parent again at each tick.
#[tokio::test]
async fn the_finding_names_the_session_that_holds_a_child() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.enqueue_and_push(1).await;
    let run = world.take(WorkerId::new(), 1).await.remove(0).fence;
    let children = [(); 2].map(|()| NewJob { depends_on: vec![run.id], ..new_job() });
    world.store.enqueue(&children).await.expect("enqueue");

    let mut somebody = world.stores.database.connect().await;
    sqlx::query("SET application_name = 'the nightly import'").execute(&mut somebody).await.expect("a name");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut somebody).await.expect("a pid");
    let mut open = somebody.begin().await.expect("a transaction");
    let lock = "SELECT FROM leasehold.job WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(children[0].id.0).execute(&mut *open).await.expect("a lock");
    let done = [FinishedRun { fence: run, settle: Settle::Complete(None) }];
    world.store.settle(run.worker, &done).await.expect("settle");
    assert_eq!(world.state(children[1].id).await, State::Queued);
    world.sql("UPDATE leasehold.history SET finished_at = now() - interval '2 minutes'").await;
    for _ in 0..2 {
        reaper.tick().await;
    }

    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    let about = format!("job {}: blocked, and has not been told that {} is succeeded", children[0].id, run.id);
    let told = format!("the session of pid {pid} (the nightly import) has locked its row");
    let finding = examination.findings.iter().find(|finding| finding.check == "no row waits for a reaper");
    let text = format!("{:?}", finding.unwrap_or_else(|| panic!("{:#?}", examination.findings)));
    assert!(text.contains(&about) && text.contains(&told) && text.contains("end its transaction"), "{text}");
    open.rollback().await.expect("a rollback");
    reaper.tick().await;
    assert_eq!(world.state(children[0].id).await, State::Queued);
    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    let texts = format!("{:?}", examination.findings);
    assert!(!texts.contains(&about), "{texts}");
}
