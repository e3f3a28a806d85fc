//! A job that waits because a session has locked its row: the finding names the session.

use crate::world::World;
use leasehold_core::WorkerId;
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
