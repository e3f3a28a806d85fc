//! The head is equal to the front of the line.

use crate::world::{HEAD_MAX, SOON, World, kind, new_job, queue, report};
use leasehold_core::{NewJob, WorkerId};
use leasehold_handoff::WorkerRecord;
use leasehold_reaper::fill_head;
use leasehold_tests::{eventually, hints};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(600);

fn worker_of(kinds: Option<&[&str]>) -> WorkerRecord {
    WorkerRecord {
        id: WorkerId::new(),
        host: "here".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        started_at: "now".to_owned(),
        queues: vec![(queue(), 1)],
        kinds: kinds.map(|kinds| kinds.iter().map(|name| kind(name)).collect()),
        running: 0,
        oldest_run_s: None,
        draining: false,
        http: None,
    }
}

fn of_kind(name: &str) -> NewJob {
    NewJob { kind: kind(name), ..new_job() }
}

#[tokio::test]
async fn jobs_written_by_sql_alone_reach_the_head() {
    let world = World::start().await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    world.sql("SELECT leasehold.enqueue('k', '{}') FROM generate_series(1, 20)").await;
    tokio::join!(one.tick(), two.tick(), three.tick());
    let head = world.head().await;
    assert_eq!((head.ready, head.waiting_members), (20, 20), "each job must have one hint");
    assert_eq!(report(&one.tick().await, "head").changed, 0, "a second run must change nothing");
}

#[tokio::test]
async fn a_missing_hint_gets_its_place() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(4).await;
    world.push(&[ids[0], ids[3]]).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, ids);
}

/// Redis was emptied, and clients pushed their newest jobs before the reaper filled the head. No worker takes these hints,
/// so only the fill makes room for the first jobs of the line. (Found by the simulation.)
#[tokio::test]
async fn the_front_of_the_line_displaces_hints_that_were_pushed_into_an_empty_redis() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(2 * HEAD_MAX as usize).await;
    let (first, newest) = ids.split_at(HEAD_MAX as usize);
    world.push(newest).await;
    reaper.tick().await;
    let snapshot = world.snapshot().await;
    assert_eq!((snapshot.ready.as_slice(), snapshot.overflow), (first, true));
    assert_eq!(snapshot.held.len(), first.len(), "Redis must forget the other hints");
}

#[tokio::test]
async fn a_long_line_flows_through_a_bounded_head() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(1000).await;
    let (worker, mut done, mut longest) = (WorkerId::new(), 0, 0);
    eventually("the line drains", SOON, async || {
        reaper.tick().await;
        longest = longest.max(world.head().await.ready);
        assert!(longest <= u64::from(HEAD_MAX), "the head must keep its bound: {longest}");
        done += world.work(worker, 20).await;
        // A worker that finds the head low does this.
        fill_head(&world.store, &world.handoff, &queue(), HEAD_MAX).await.expect("fill");
        longest = longest.max(world.head().await.ready);
        while world.head().await.ready > 0 {
            done += world.work(worker, 20).await;
        }
        if done == ids.len() { Ok(()) } else { Err(done) }
    })
    .await;
    assert_eq!(longest, u64::from(HEAD_MAX), "the head must have been full");
    reaper.tick().await;
    assert!(!world.head().await.overflow, "Redis has the whole line again");
}

#[tokio::test]
async fn a_glance_at_the_line_is_enough_until_a_hint_is_missing() {
    let head_max = 512;
    let world = World::with_head_max(head_max).await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(1200).await;
    assert_eq!(report(&reaper.tick().await, "head").changed, u64::from(head_max));
    let found = report(&reaper.tick().await, "head").found;
    assert!(found < u64::from(head_max), "a glance must be enough: {found}");

    // The line moves on, and a worker fills the head.
    let running = world.take(WorkerId::new(), 400).await;
    assert_eq!(running.len(), 400);
    fill_head(&world.store, &world.handoff, &queue(), head_max).await.expect("fill");
    let running = world.take(WorkerId::new(), 256).await;
    let found = report(&reaper.tick().await, "head").found;
    assert!(found < u64::from(head_max), "the head is low and complete, so a glance must be enough: {found}");
    world.handoff.ack(&[(queue(), vec![ids[700]])]).await.expect("ack");
    let changed = report(&reaper.tick().await, "head").changed;
    assert_eq!((running.len(), changed), (256, 256 + 1), "a hint is missing, so the whole head must be filled");

    // More jobs than a glance reads come before all others, and no client pushes them.
    let urgent = world.enqueue_these(&(0..300).map(|_| NewJob { priority: 9, ..new_job() }).collect::<Vec<_>>()).await;
    reaper.tick().await;
    let ready = world.snapshot().await.ready;
    assert_eq!(ready[..300], urgent);
    assert_eq!(ready[300..], ids[656..868]);
}

/// A glance compares positions, too: the line has a new order, and Redis holds a hint of each of its first jobs.
#[tokio::test]
async fn a_long_head_follows_a_new_order_of_its_line() {
    let head_max = 300;
    let world = World::with_head_max(head_max).await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue(400).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, ids[..head_max as usize]);
    world
        .sql(
            "UPDATE leasehold.job j SET line_at = line_at - n.nth * interval '1 ms'
             FROM (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM leasehold.job ORDER BY id LIMIT 100) n
             WHERE n.id = j.id",
        )
        .await;
    reaper.tick().await;
    let (mut first, rest) = (ids[..100].to_vec(), &ids[100..head_max as usize]);
    first.reverse();
    assert_eq!(world.snapshot().await.ready, [&first, rest].concat());
}

#[tokio::test]
async fn a_list_that_was_put_out_of_order_is_sorted() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_these(&(0..20).map(|nth| NewJob { priority: -nth, ..new_job() }).collect::<Vec<_>>()).await;
    reaper.tick().await;
    let ready = world.key("ready");
    for _ in 0..10 {
        world.by_hand("LMOVE", &[ready.clone(), ready.clone(), "RIGHT".to_owned(), "LEFT".to_owned()]).await;
    }
    assert_ne!(world.snapshot().await.ready, ids);
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, ids);
}

#[tokio::test]
async fn an_overflow_flag_without_a_line_goes() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let ids = world.enqueue_and_push(HEAD_MAX as usize + 1).await;
    assert!(world.head().await.overflow);
    let worker = WorkerId::new();
    while world.work(worker, HEAD_MAX).await > 0 {}
    world.store.cancel(&ids).await.expect("cancel");
    assert!(world.head().await.overflow, "no fill has cleared the flag");
    reaper.tick().await;
    assert!(!world.head().await.overflow);
    assert_eq!(world.handoff.queues().await.expect("queues"), [], "no key of the queue may stay");
}

#[tokio::test]
async fn kinds_nobody_serves_stay_in_the_line() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.handoff.announce(&worker_of(Some(&["served"])), TTL).await.expect("announce");
    let mut jobs: Vec<NewJob> = (0..200).map(|_| of_kind("foreign")).collect();
    jobs.push(of_kind("served"));
    let ids = world.enqueue_these(&jobs).await;
    reaper.tick().await;
    assert_eq!(world.snapshot().await.ready, [ids[200]], "two hundred jobs of another kind must not be in the way");
    assert!(!world.head().await.overflow, "Redis has all jobs of the served kind");
}

#[tokio::test]
async fn kinds_with_a_full_aside_list_wait_in_the_line() {
    let world = World::start().await;
    world.handoff.announce(&worker_of(None), TTL).await.expect("announce");
    let foreign = world.enqueue_these(&(0..100).map(|_| of_kind("foreign")).collect::<Vec<_>>()).await;
    let own = world.enqueue_these(&[of_kind("own")]).await;
    world.push(&foreign[..20]).await;
    let taken = world.handoff.take(&queue(), &[], &[], 20, TTL).await.expect("take");
    world.handoff.set_aside(&queue(), &kind("foreign"), &hints(&taken.ids)).await.expect("aside");
    let asides = world.handoff.asides(&queue()).await.expect("asides");
    assert!(matches!(&asides[..], [(_, _, true)]), "the aside list must be full: {asides:?}");

    let report = fill_head(&world.store, &world.handoff, &queue(), HEAD_MAX).await.expect("fill");
    assert_eq!((report.read, report.pushed, report.more), (1, 1, false), "{report:?}");
    assert_eq!(world.snapshot().await.ready, own);
}

#[tokio::test]
async fn redis_lost_with_ten_thousand_jobs_in_the_line() {
    let world = World::with_head_max(4096).await;
    let mut reaper = world.reaper().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.extend(world.enqueue(500).await);
    }
    reaper.tick().await;
    assert_eq!(world.head().await.ready, 4096);
    let worker = WorkerId::new();
    let running = world.take(worker, 10).await;

    world.by_hand("FLUSHALL", &[]).await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "head").changed, 4096, "{reports:?}");
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.ready, ids[10..4106], "the front of the line, in order");
    assert!(snapshot.overflow);
    assert_eq!(reaper.redis_losses(), 1);
    reaper.tick().await;
    assert_eq!(world.head().await.leased, running.len() as u64, "Redis must know the runs again");
    assert_eq!(reaper.redis_losses(), 1, "the loss must be counted once");
}
