//! The reports of steps, and the counts that become reports.

use crate::{error::Error, watch::Watch};
use leasehold_core::{Drift, Drifted};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// What one step found and changed.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step: survey, deferred, expire, promote, cancel, pauses, adopt, leases, head, sweep, retain.
    pub step: &'static str,
    /// The number of things that the step looked at.
    pub found: u64,
    /// The number of things that the step changed.
    pub changed: u64,
    /// Drift that the step found and repaired, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drift: BTreeMap<Drift, Drifted>,
    /// The duration in milliseconds.
    pub took_ms: f64,
    /// Why the step could not do all of its work. The counts include the work before the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepReport {
    /// Adds the report of a later run of the same step.
    pub(crate) fn add(&mut self, again: Self) {
        self.found += again.found;
        self.changed += again.changed;
        self.took_ms += again.took_ms;
        self.error = again.error.or(self.error.take());
        for (kind, drifted) in again.drift {
            *self.drift.entry(kind).or_default() += drifted;
        }
    }
}

/// Adds a report to the earlier report of the same step, if there is one.
pub(crate) fn add(reports: &mut Vec<StepReport>, report: StepReport) {
    match reports.iter_mut().find(|earlier| earlier.step == report.step) {
        Some(earlier) => earlier.add(report),
        None => reports.push(report),
    }
}

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

/// The timeout of a step. If a step hangs, the next tick tries again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a step and measures it. A step that hangs is given up. Its last command may have been executed or not: both are safe.
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
