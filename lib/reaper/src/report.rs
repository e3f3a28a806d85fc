//! What the steps of a tick found and changed.

use crate::error::Error;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// What one step found and changed.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step: expire, promote, cancel, pauses, adopt, leases, head, sweep, retain.
    pub step: &'static str,
    /// What it looked at.
    pub found: u64,
    /// What it changed.
    pub changed: u64,
    /// Milliseconds it took.
    pub took_ms: f64,
    /// Why it could not do all of its work. What it found and changed before that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the step at work has done so far; kept outside of it, so that an error half-way loses no count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    found: AtomicU64,
    changed: AtomicU64,
}

impl Counts {
    pub(crate) fn found(&self, things: u64) {
        self.found.fetch_add(things, Relaxed);
    }

    pub(crate) fn changed(&self, things: u64) {
        self.changed.fetch_add(things, Relaxed);
    }
}

/// No step is waited for longer than this: whatever hangs, the next tick tries again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a step and measures it. One that hangs is given up; what it had sent by then is safe to be done, or not.
pub(crate) async fn measured(
    counts: &Counts,
    step: &'static str,
    work: impl Future<Output = Result<(), Error>>,
) -> StepReport {
    let began = Instant::now();
    let result = timeout(PATIENCE, work).await.unwrap_or(Err(Error::TookTooLong(PATIENCE)));
    StepReport {
        step,
        found: counts.found.swap(0, Relaxed),
        changed: counts.changed.swap(0, Relaxed),
        took_ms: began.elapsed().as_secs_f64() * 1000.0,
        error: result.err().map(|error| error.to_string()),
    }
}
