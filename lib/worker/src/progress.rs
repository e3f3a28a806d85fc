//! Writes what runs tell about themselves. All reports of a worker share one statement, at most every [`PAUSE`]. A run that
//! tells nothing costs nothing.

use crate::{run::Run, worker_state::WorkerState};
use leasehold_core::{BATCH_MAX, Report};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the end of a run waits for the write of its last report.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// Writes reports until `done`.
pub(crate) async fn write_reports(state: Arc<WorkerState>, done: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = state.reports.notified() => {}
        }
        let runs = state.runs.with_reports();
        for runs in runs.chunks(BATCH_MAX) {
            write(&state, runs).await;
        }
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// Whether the run has told something that can still be written.
pub(crate) fn is_unwritten(run: &Run) -> bool {
    run.has_report() && !run.is_completed()
}

/// Writes what the run told last, before the end of the run is written: afterwards its fence is stale.
pub(crate) async fn write_last(state: &WorkerState, run: &Run) {
    if timeout(LAST_WITHIN, write(state, std::slice::from_ref(run))).await.is_err() {
        tracing::debug!(id = %run.fence().id, "the last report of a run was not written in time");
    }
}

/// A report that cannot be written is written with the next one.
async fn write(state: &WorkerState, runs: &[Run]) {
    let reports: Vec<Report> = runs.iter().filter_map(Run::take_report).collect();
    if reports.is_empty() {
        return;
    }
    if let Err(error) = state.store.report(state.id, &reports).await {
        tracing::debug!(%error, "the progress of runs was not written");
        runs.iter().for_each(Run::report_again);
    }
}
