//! report: the progress of runs.

use crate::fixture::Fixture;
use leasehold_core::{Fence, Report, ReportedNote, Settle, Settled, WorkerId};
use std::time::Duration;

fn report(fence: Fence, done: f64, notes: &[&str]) -> Report {
    let note = |(nth, note): (usize, &&str)| ReportedNote {
        nth: nth as u64 + 1,
        age: Duration::from_secs(5),
        note: (*note).to_owned(),
    };
    Report { fence, done: Some(done), notes: notes.iter().enumerate().map(note).collect() }
}

#[tokio::test]
async fn the_last_report_of_the_run_is_read_while_it_runs_and_afterwards() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (fence, silent) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.report(worker, &[report(fence, 0.25, &["one"])]).await.expect("report");
    fixture.report(worker, &[report(fence, 0.5, &["one", "two"])]).await.expect("report");
    let running = fixture.record(fence.id).await.progress.expect("it told something");
    assert_eq!((running.epoch, running.done), (1, Some(0.5)));
    let notes: Vec<(u64, &str)> = running.notes.iter().map(|note| (note.nth, note.note.as_str())).collect();
    assert_eq!(notes, [(1, "one"), (2, "two")]);
    assert_eq!((running.at - running.notes[0].at).num_seconds(), 5);
    assert_eq!(fixture.settle_one(fence, Settle::Complete(None)).await, Settled::Done);
    assert_eq!(fixture.record(fence.id).await.progress, Some(running));
    assert_eq!(fixture.record(silent.id).await.progress, None);
}

#[tokio::test]
async fn a_stale_fence_reports_nothing() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let lost = fixture.running(worker).await;
    assert_eq!(fixture.settle_one(lost, Settle::Release).await, Settled::Done);
    let current = fixture.claim_one(worker, lost.id).await.fence;
    fixture.report(worker, &[report(current, 0.1, &[])]).await.expect("report");
    for stale in [lost, Fence { worker: WorkerId::new(), ..current }] {
        fixture.report(stale.worker, &[report(stale, 0.9, &["stale"])]).await.expect("report");
    }
    let progress = fixture.record(current.id).await.progress.expect("the current run told something");
    assert_eq!((progress.epoch, progress.done, progress.notes.len()), (2, Some(0.1), 0));
}
