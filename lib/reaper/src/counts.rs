//! The counts of a running step, which become its report.

use crate::{
    error::Error,
    report::{PATIENCE, StepReport},
    watch::Watch,
};
use leasehold_core::{Drift, Drifted};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::time::{Instant, timeout};

/// The counts of a running step. They are outside of the step, so that an error half-way loses no count.
#[derive(Debug)]
pub(crate) struct Counts {
    watch: Watch,
    found: AtomicU64,
    changed: AtomicU64,
    drift: Mutex<BTreeMap<Drift, Drifted>>,
}

impl Counts {
    /// Counts of a step that is added to the totals of `watch` when it ends.
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, found: AtomicU64::new(0), changed: AtomicU64::new(0), drift: Mutex::default() }
    }

    pub(crate) fn found(&self, things: u64) {
        self.found.fetch_add(things, Relaxed);
    }

    pub(crate) fn changed(&self, things: u64) {
        self.changed.fetch_add(things, Relaxed);
    }

    /// Counts drift of this kind that was found.
    pub(crate) fn drifted(&self, kind: Drift, things: u64) {
        self.add(kind, Drifted { found: things, repaired: 0 });
    }

    /// Counts drift of this kind that was repaired.
    pub(crate) fn repaired(&self, kind: Drift, things: u64) {
        self.add(kind, Drifted { found: 0, repaired: things });
    }

    fn add(&self, kind: Drift, drifted: Drifted) {
        if drifted != Drifted::default() {
            *self.drift().entry(kind).or_default() += drifted;
        }
    }

    fn drift(&self) -> MutexGuard<'_, BTreeMap<Drift, Drifted>> {
        // After a panic the numbers are still valid.
        self.drift.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a step and measures it. A step that hangs is given up. Redis may or may not have executed its last command: both
/// cases are safe.
pub(crate) async fn measured(
    counts: &Counts,
    step: &'static str,
    work: impl Future<Output = Result<(), Error>>,
) -> StepReport {
    let began = Instant::now();
    let result = timeout(PATIENCE, work).await.unwrap_or(Err(Error::TookTooLong(PATIENCE)));
    let report = StepReport {
        step,
        found: counts.found.swap(0, Relaxed),
        changed: counts.changed.swap(0, Relaxed),
        drift: std::mem::take(&mut *counts.drift()),
        took_ms: began.elapsed().as_secs_f64() * 1000.0,
        error: result.err().map(|error| error.to_string()),
    };
    counts.watch.count(&report);
    report
}
