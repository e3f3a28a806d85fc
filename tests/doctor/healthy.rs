//! A healthy system has no findings, however fast it moves.

use crate::world::{HEAD_MAX, LEASE, World, kind, new_job, queue};
use leasehold_core::{FinishedRun, NewJob, Settle, WorkerId};
use leasehold_handoff::WorkerRecord;
use leasehold_reaper::{examine, fill_head};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn an_idle_system_has_no_findings() {
    let world = World::start().await;
    world.reaper().await;
    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    assert!(examination.findings.is_empty(), "{:#?}", examination.findings);
    assert_eq!(
        examination.checks.len(),
        19,
        "a check is reported even if there was nothing to check: {:?}",
        examination.checks
    );
    assert!(examination.notes.is_empty(), "{:?}", examination.notes);
}

#[tokio::test]
async fn a_system_at_rest_with_jobs_of_all_sorts_has_none_either() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let worker = WorkerId::new();
    let jobs: Vec<NewJob> = (0..i64::from(HEAD_MAX) * 2)
        .map(|n| NewJob { priority: (n % 3) as i16, delay: (n % 5 == 0).then_some(LEASE), ..new_job() })
        .collect();
    world.enqueue_these(&jobs).await;
    reaper.tick().await;
    let mut runs = world.take(worker, 12).await;
    let still_running = runs.split_off(4);
    world.settle(worker, &runs[..2]).await;
    let retry = |settle: fn() -> Settle| {
        move |run: &leasehold_core::ClaimedJob| FinishedRun { fence: run.fence, settle: settle() }
    };
    let ends = runs[2..].iter().map(retry(|| Settle::Retry { delay: LEASE, error: "no".into() })).collect::<Vec<_>>();
    world.store.settle(worker, &ends).await.expect("settle");
    world.handoff.ack(&[(queue(), runs.iter().map(|run| run.fence.id).collect())]).await.expect("ack");
    reaper.tick().await;

    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    assert!(examination.findings.is_empty(), "{:#?}", examination.findings);
    assert_eq!(still_running.len(), 8);
}

/// Five queues without a worker are one note, which names three of them.
#[tokio::test]
async fn queues_without_a_worker_are_one_note() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let in_queue = |n: u32| NewJob { queue: format!("q{n}").parse().expect("a name"), ..new_job() };
    world.enqueue_these(&(1..=5).map(in_queue).collect::<Vec<_>>()).await;
    reaper.tick().await;
    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    assert!(examination.findings.is_empty(), "{:#?}", examination.findings);
    let [note] = &examination.notes[..] else { panic!("one note for all queues: {:?}", examination.notes) };
    assert!(note.starts_with("5 queues have jobs") && note.ends_with(" and 2 more"), "{note}");
    assert_eq!((1..=5).filter(|n| note.contains(&format!("q{n}"))).count(), 3, "{note}");
}

#[tokio::test]
async fn jobs_that_no_worker_serves_are_a_note() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let record = WorkerRecord {
        id: WorkerId::new(),
        host: "here".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        started_at: "now".to_owned(),
        queues: vec![(queue(), 1)],
        kinds: Some(vec![kind("served")]),
        running: 0,
        oldest_run_s: None,
        draining: false,
        http: None,
    };
    world.handoff.announce(&record, LEASE).await.expect("announce");
    world.enqueue(3).await;
    reaper.tick().await;
    let examination = examine(&world.store, &world.handoff).await.expect("examine");
    assert!(examination.findings.is_empty(), "{:#?}", examination.findings);
    assert!(matches!(&examination.notes[..], [note] if note.contains("kind k")), "{:?}", examination.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_busy_system_has_no_findings() {
    let world = Arc::new(World::start().await);
    let (stop, done) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let mut busy = vec![tokio::spawn(world.reaper().await.run(stop.clone()))];
    for worker in 0..3 {
        let (world, stop, done) = (world.clone(), stop.clone(), done.clone());
        busy.push(tokio::spawn(async move {
            let id = WorkerId::new();
            while !stop.is_cancelled() {
                let ended = world.work(id, 7 + worker).await;
                done.fetch_add(ended as u64, Relaxed);
                if ended == 0 {
                    fill_head(&world.store, &world.handoff, &queue(), HEAD_MAX).await.expect("fill");
                }
            }
        }));
    }
    for producer in 0..2 {
        let (world, stop, done) = (world.clone(), stop.clone(), done.clone());
        busy.push(tokio::spawn(async move {
            let mut made = 0;
            while !stop.is_cancelled() {
                // One producer is always a few hundred jobs ahead, so that the line is sometimes longer than the head.
                if made > done.load(Relaxed) / 2 + 200 * producer {
                    tokio::task::yield_now().await;
                    continue;
                }
                let ids = world.enqueue_and_push(20).await;
                // Two of these jobs are cancelled and may never be done. If they counted, the producers would wait for
                // each other in the end.
                made += 18;
                let ended = world.store.cancel(&ids[..2]).await.expect("cancel");
                let waited = ended.into_iter().filter(|job| job.running.is_none()).map(|job| job.id).collect();
                world.handoff.ack(&[(queue(), waited)]).await.expect("ack");
            }
        }));
    }

    for round in 1..=3 {
        let before = done.load(Relaxed);
        let examination = examine(&world.store, &world.handoff).await.expect("examine");
        assert!(examination.findings.is_empty(), "round {round}: {:#?}", examination.findings);
        leasehold_tests::eventually("it is busy", Duration::from_secs(30), async || {
            let now = done.load(Relaxed);
            if now > before + 100 { Ok(()) } else { Err(now) }
        })
        .await;
    }
    stop.cancel();
    for task in busy {
        task.await.expect("no task failed");
    }
}
