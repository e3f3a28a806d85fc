//! Between two fills a worker extends a low head. An extension repairs nothing, so it is allowed only soon after a fill.

use crate::world::{HEAD_MAX, SOON, World, kind, new_job, queue};
use leasehold_core::{NewJob, WorkerId};
use leasehold_handoff::WorkerRecord;
use leasehold_reaper::{HeadReport, extend_head, fill_head};
use leasehold_tests::{eventually, hints};
use std::{cell::Cell, time::Duration};

const LEASE: Duration = Duration::from_secs(600);
const BOUND: usize = HEAD_MAX as usize;

async fn fill(world: &World) -> HeadReport {
    fill_head(&world.store, &world.handoff, &queue(), HEAD_MAX).await.expect("fill")
}

async fn extend(world: &World) -> Option<HeadReport> {
    extend_head(&world.store, &world.handoff, &queue(), HEAD_MAX).await.expect("extend")
}

async fn filled_lately(world: &World) -> bool {
    world.handoff.tail(&queue()).await.expect("tail").filled_to.is_some()
}

/// Fills, calls `between`, and extends. Repeats this if it took longer than the time in which a head may be extended.
async fn extend_soon_after_a_fill(world: &World, between: impl AsyncFn()) -> Option<HeadReport> {
    eventually("an extension soon after a fill", SOON, async || {
        fill(world).await;
        between().await;
        let report = extend(world).await;
        if report.is_some() || filled_lately(world).await { Ok(report) } else { Err(()) }
    })
    .await
}

#[tokio::test]
async fn an_extension_appends_the_next_ids_of_the_line() {
    let world = World::start().await;
    let ids = world.enqueue(30 * BOUND).await;
    let taken = Cell::new(0);
    let take = async || taken.set(taken.get() + world.take(WorkerId::new(), HEAD_MAX - 10).await.len());
    let report = extend_soon_after_a_fill(&world, take).await;
    let pushed = HEAD_MAX - 10;
    assert_eq!(report, Some(HeadReport { read: pushed, pushed, held: 0, more: true }));
    let extended = world.snapshot().await;
    assert_eq!((extended.ready.as_slice(), extended.overflow), (&ids[taken.get()..taken.get() + BOUND], true));

    let filled = fill(&world).await;
    assert_eq!((filled.pushed, filled.held), (0, HEAD_MAX), "a fill must find nothing to do");
    assert_eq!(world.snapshot().await.ready, extended.ready);
    assert_eq!(
        extend_soon_after_a_fill(&world, async || ()).await,
        Some(HeadReport { more: true, ..HeadReport::default() }),
        "a full head must not be extended"
    );
}

#[tokio::test]
async fn a_job_that_belongs_before_others_waits_for_the_next_fill() {
    let world = World::start().await;
    let ids = world.enqueue(3 * BOUND).await;
    fill(&world).await;
    world.take(WorkerId::new(), 10).await;
    let urgent = world.enqueue_these(&[NewJob { priority: 9, ..new_job() }]).await;
    eventually("the head is not extended any more", SOON, async || {
        let report = extend(&world).await;
        assert!(
            !world.snapshot().await.ready.contains(&urgent[0]),
            "an extension must not append a job that belongs before others"
        );
        if report.is_none() { Ok(()) } else { Err(report) }
    })
    .await;
    assert!(!filled_lately(&world).await);
    fill(&world).await;
    let ready = world.snapshot().await.ready;
    assert_eq!((ready.len(), &ready[..2]), (BOUND, &[urgent[0], ids[10]][..]));
}

#[tokio::test]
async fn a_head_drained_to_nothing_is_extended_from_where_it_ended() {
    let world = World::start().await;
    let ids = world.enqueue(30 * BOUND).await;
    assert_eq!(extend(&world).await, None, "an empty Redis must not be extended");
    let taken = Cell::new(0);
    let take_all = async || {
        taken.set(taken.get() + world.work(WorkerId::new(), HEAD_MAX).await);
        assert_eq!(world.head().await.ready, 0);
    };
    let report = extend_soon_after_a_fill(&world, take_all).await;
    let whole = Some(HeadReport { read: HEAD_MAX, pushed: HEAD_MAX, held: 0, more: true });
    assert_eq!(report, whole, "although no job that the fill has read is still in the line");
    assert_eq!(world.snapshot().await.ready, ids[taken.get()..taken.get() + BOUND]);

    // An extension may follow an extension.
    let report = extend_soon_after_a_fill(&world, async || {
        take_all().await;
        if extend(&world).await.is_some() {
            take_all().await;
        }
    })
    .await;
    assert_eq!(report, whole);
    assert_eq!(world.snapshot().await.ready, ids[taken.get()..taken.get() + BOUND]);
}

#[tokio::test]
async fn one_of_two_extensions_at_the_same_time_pushes() {
    let world = World::start().await;
    let ids = world.enqueue(30 * BOUND).await;
    let taken = Cell::new(0);
    eventually("two extensions soon after a fill", SOON, async || {
        fill(&world).await;
        taken.set(taken.get() + world.take(WorkerId::new(), HEAD_MAX).await.len());
        let both = tokio::join!(extend(&world), extend(&world));
        let ready = world.snapshot().await.ready;
        if ready.is_empty() {
            return Err(both);
        }
        assert_eq!(ready, ids[taken.get()..taken.get() + BOUND], "{both:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_extension_brings_the_end_of_the_line_and_only_a_fill_clears_the_overflow_flag() {
    let world = World::start().await;
    world.enqueue(BOUND + 5).await;
    let take = async || drop(world.take(WorkerId::new(), 10).await);
    let end = extend_soon_after_a_fill(&world, take).await.expect("the end of the line");
    assert_eq!((end.pushed, end.held, world.head().await.ready), (5, 0, u64::from(HEAD_MAX) - 5));
    assert!(world.head().await.overflow);
    eventually("the head is not extended behind the end", SOON, async || match extend(&world).await {
        None => Ok(()),
        report => Err(report),
    })
    .await;
    fill(&world).await;
    assert!(!world.head().await.overflow);
}

#[tokio::test]
async fn an_extension_brings_only_served_kinds() {
    let world = World::start().await;
    let worker = |kinds: Option<&[&str]>| WorkerRecord {
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
    };
    let jobs: Vec<NewJob> = (0..30 * BOUND)
        .map(|nth| NewJob { kind: kind(if nth % 3 == 0 { "foreign" } else { "served" }), ..new_job() })
        .collect();
    let ids = world.enqueue_these(&jobs).await;
    let served: Vec<_> = ids.iter().enumerate().filter(|(nth, _)| nth % 3 > 0).map(|(_, id)| *id).collect();
    world.handoff.announce(&worker(Some(&["served"])), LEASE).await.expect("announce");
    let taken = Cell::new(0);
    let take = async || taken.set(taken.get() + world.take(WorkerId::new(), 20).await.len());
    let report = extend_soon_after_a_fill(&world, take).await;
    assert_eq!(report, Some(HeadReport { read: 20, pushed: 20, held: 0, more: true }));
    assert_eq!(world.snapshot().await.ready, served[taken.get()..taken.get() + BOUND]);

    // A worker that serves every kind has come, and has set hints of one kind aside. An extension cannot leave this kind out.
    world.handoff.announce(&worker(None), LEASE).await.expect("announce");
    assert!(extend_soon_after_a_fill(&world, take).await.is_some());
    let put_aside = async || {
        let taken = world.handoff.take(&queue(), &[], &[], 20, LEASE).await.expect("take");
        world.handoff.set_aside(&queue(), &kind("foreign"), &hints(&taken.ids)).await.expect("aside");
    };
    assert_eq!(extend_soon_after_a_fill(&world, put_aside).await, None);
}
