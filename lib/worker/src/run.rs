//! One run, as its handler sees it, and the signal that tells it to stop.

use leasehold_core::{ClaimedJob, Fence};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Why a handler should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A client cancelled the job.
    Cancelled,
    /// The lease is lost: another worker may have the job by now, and nothing this run writes will count.
    LeaseLost,
    /// The job's timeout has passed.
    TimedOut,
    /// The worker is stopping and its grace is over.
    Stopping,
}

/// One run, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Run {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    job: ClaimedJob,
    reason: OnceLock<StopReason>,
    stopped: Notify,
}

impl Run {
    pub(crate) fn new(job: ClaimedJob) -> Self {
        Self { inner: Arc::new(Inner { job, reason: OnceLock::new(), stopped: Notify::new() }) }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &ClaimedJob {
        &self.inner.job
    }

    /// Names this run; hand it to whatever has side effects, so that a stale run can be told from the current one.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.inner.job.fence
    }

    /// Ready when the handler should stop.
    ///
    /// A handler that goes on is given a moment (see [`Handler::stop_timeout`](crate::Handler::stop_timeout)) and then
    /// dropped at its next await.
    pub async fn cancelled(&self) -> StopReason {
        loop {
            // Listening before looking: a stop that falls in between is not missed.
            let stopped = self.inner.stopped.notified();
            if let Some(reason) = self.stop_reason() {
                return reason;
            }
            stopped.await;
        }
    }

    /// Why the handler should stop, if it should.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.reason.get().copied()
    }

    /// Tells the handler to stop. The first reason stands; whether this was it.
    pub(crate) fn stop(&self, reason: StopReason) -> bool {
        let first = self.inner.reason.set(reason).is_ok();
        self.inner.stopped.notify_waiters();
        first
    }
}
