//! Writes the progress reports of runs. All reports of a worker share one statement, at most every [`PAUSE`]. A run without
//! reports costs nothing.

use crate::{run::Run, worker_state::WorkerState};
use leasehold_core::{BATCH_MAX, Report};
use std::{pin::pin, sync::Arc, time::Duration};
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

/// Whether the run has a report that is not written and can still be written.
pub(crate) fn is_unwritten(run: &Run) -> bool {
    (run.has_unsent_report() || run.has_report_in_flight()) && !run.is_completed()
}

/// Writes the last report of the run, before the end of the run is written: after the end, its fence is stale. Waits for a report
/// in flight first: that report would come too late, or replace the last one.
pub(crate) async fn write_last(state: &WorkerState, run: &Run) {
    let last = async {
        loop {
            // Listen before the check: then an answer between the two is not missed.
            let mut answered = pin!(state.reports_answered.notified());
            answered.as_mut().enable();
            if !run.has_report_in_flight() {
                break;
            }
            answered.await;
        }
        write(state, std::slice::from_ref(run)).await;
    };
    if timeout(LAST_WITHIN, last).await.is_err() {
        tracing::debug!(id = %run.fence().id, "the last report of a run was not written in time");
    }
}

/// A report that cannot be written is written with the next one.
async fn write(state: &WorkerState, runs: &[Run]) {
    let (told, reports): (Vec<&Run>, Vec<Report>) =
        runs.iter().filter_map(|run| run.take_report().map(|report| (run, report))).unzip();
    if reports.is_empty() {
        return;
    }
    let written = state.store.report(state.id, &reports).await;
    if let Err(error) = &written {
        tracing::debug!(%error, "the progress of runs was not written");
    }
    told.iter().for_each(|run| run.report_answered(written.is_ok()));
    state.reports_answered.notify_waiters();
}

#[cfg(test)]
mod tests {
    use super::is_unwritten;
    use crate::run::Run;
    use leasehold_core::{ClaimedJob, Fence, JobId, QueueName, WorkerId};

    fn run() -> Run {
        let fence = Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
        let payload = serde_json::value::to_raw_value(&1).expect("JSON");
        Run::new(ClaimedJob::new(fence, QueueName::default(), "k".parse().expect("a kind"), payload))
    }

    /// A run that ended while its report was on the way to PostgreSQL ended first, and the report was lost.
    #[test]
    fn a_report_counts_as_unwritten_until_it_is_answered() {
        let run = run();
        assert!(!is_unwritten(&run));
        run.progress(0.5, "half").expect("a part");
        assert!(is_unwritten(&run));
        let report = run.take_report().expect("a report");
        assert_eq!((report.done, report.notes.len()), (Some(0.5), 1));
        assert!(is_unwritten(&run) && run.take_report().is_none(), "in flight");
        run.report_answered(true);
        assert!(!is_unwritten(&run));
        run.note("more");
        run.take_report().expect("a report");
        run.report_answered(false);
        assert!(is_unwritten(&run) && run.take_report().is_some(), "it is sent again");
    }
}
