//! Fair shares: the setting of a queue, pauses of keys, and what is deleted.

use crate::{
    fair::{WINDOW, ids, jobs, of},
    fixture::{Fixture, LEASE},
};
use leasehold_core::{Claimability, NewJob, QueueName, Settle, WorkerId};
use leasehold_ports::Kinds;
use std::{collections::BTreeSet, time::Duration};

#[tokio::test]
async fn off_makes_the_keys_labels_and_on_shares_the_backlog() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    let (a, b) = (jobs("a", 2 * WINDOW), jobs("b", WINDOW));
    fixture.enqueue_fair(&a).await;
    fixture.enqueue_fair(&b).await;
    assert!(fixture.parked().await > 0);
    fixture.set_fair(&queue, false).await.expect("off");
    assert_eq!(fixture.parked().await, 0);
    fixture.sql("UPDATE leasehold.job SET created_at = created_at - interval '1 minute'").await;
    fixture.keeps_the_invariants().await;
    let label = of("c");
    assert!(fixture.enqueue(std::slice::from_ref(&label)).await.expect("enqueue")[0].line_at.is_some(), "not parked");
    fixture.set_fair(&queue, true).await.expect("on");
    let in_line = fixture.fair_line().await.len();
    assert!((WINDOW..=WINDOW * 3 / 2).contains(&in_line), "{in_line} are in the line");
    assert_eq!(fixture.parked().await, (3 * WINDOW + 1 - in_line) as i64);
    assert!(fixture.fair_line().await.contains(&label.id), "c has its turn");
    assert!(fixture.queue_settings(&queue).await.expect("settings").fair);
    fixture.keeps_the_invariants().await;
}

/// A client that saw the old setting parks a job after the change. A reaper moves the job.
#[tokio::test]
async fn a_reaper_moves_jobs_that_were_parked_after_the_change() {
    let fixture = Fixture::start().await;
    let jobs = jobs("a", 10);
    fixture.enqueue(&jobs).await.expect("enqueue");
    fixture.sql("INSERT INTO leasehold.queue (name, fair) VALUES ('default', false)").await;
    let moved = fixture.admit_fair_next("", 10).await.expect("admit");
    assert_eq!(moved.waiting.len(), 10);
    assert!(moved.last_key.is_none());
    assert_eq!(fixture.fair_line().await, ids(&jobs));
}

#[tokio::test]
async fn tags_of_keys_without_jobs_are_deleted() {
    let fixture = Fixture::start().await;
    let many: Vec<NewJob> = (0..100).map(|nth| of(&format!("key{nth}"))).collect();
    fixture.enqueue_fair(&many).await;
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.fair_tag").await, 100);
    fixture.run_next(WorkerId::new(), 100).await;
    assert_eq!(fixture.live_jobs().await, 0);
    fixture.retain(Duration::from_secs(86_400)).await.expect("retain");
    assert_eq!(
        fixture
            .number("SELECT (SELECT count(*) FROM leasehold.fair_tag) + (SELECT count(*) FROM leasehold.fair_window)")
            .await,
        0
    );
}

#[tokio::test]
async fn a_paused_key_starts_nothing_while_others_go_on() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    let (a, b) = (jobs("a", 20), jobs("b", 20));
    fixture.enqueue_fair(&a).await;
    fixture.enqueue_fair(&b).await;
    let worker = WorkerId::new();
    let run = fixture.claim_one(worker, a[0].id).await;
    let (changed, parked) = fixture.pause_fair_key(&queue, "a").await.expect("pause");
    assert_eq!((changed, parked.len()), (true, 19), "all that were admitted");
    assert!(!fixture.pause_fair_key(&queue, "a").await.expect("pause").0, "it is paused already");
    let ids_of_a = ids(&a);
    assert!(fixture.claim(worker, &ids_of_a, &Kinds::All, LEASE).await.expect("claim").is_empty());
    // A run that comes back is not started again, and is parked.
    fixture.settle_one(run.fence, Settle::Release).await;
    assert_eq!(fixture.claimability(a[0].id).await, Claimability::Paused);
    assert!(fixture.claim(worker, &ids_of_a[..1], &Kinds::All, LEASE).await.expect("claim").is_empty());
    assert!(fixture.claim_careful(worker, &ids_of_a[..1], &Kinds::All, 1, LEASE).await.expect("claim").is_empty());
    fixture.enqueue_fair(&jobs("a", 1)).await;
    assert_eq!(fixture.parked().await, 21);
    let begun = fixture.run_next(worker, 100).await;
    assert_eq!(begun.iter().map(|run| run.fence.id).collect::<BTreeSet<_>>(), ids(&b).into_iter().collect());
    let settings = fixture.queue_settings(&queue).await.expect("settings");
    assert_eq!(settings.paused_fair_keys, ["a"]);
    assert!(fixture.job_moment(a[1].id).await.expect("read").expect("a job").share.expect("a share").paused);
    fixture.sql("UPDATE leasehold.job SET created_at = created_at - interval '1 minute'").await;
    fixture.keeps_the_invariants().await;
    let (changed, admitted) = fixture.resume_fair_key(&queue, "a").await.expect("resume");
    assert_eq!((changed, admitted.len()), (true, 21));
    assert!(!fixture.resume_fair_key(&queue, "a").await.expect("resume").0);
    assert_eq!(fixture.run_next(worker, 100).await.len(), 21);
}
