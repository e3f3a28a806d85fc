//! What the steps of a tick found and changed.

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
    /// What it looked at.
    pub found: u64,
    /// What it changed.
    pub changed: u64,
    /// What had come apart among it, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drift: BTreeMap<Drift, Drifted>,
    /// Milliseconds it took.
    pub took_ms: f64,
    /// Why it could not do all of its work. What it found and changed before that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepReport {
    /// The same step was done again.
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

/// What a step has found again belongs to what it found before.
pub(crate) fn add(reports: &mut Vec<StepReport>, report: StepReport) {
    match reports.iter_mut().find(|earlier| earlier.step == report.step) {
        Some(earlier) => earlier.add(report),
        None => reports.push(report),
    }
}

/// What the step at work has done so far; kept outside of it, so that an error half-way loses no count.
#[derive(Debug)]
pub(crate) struct Counts {
    watch: Watch,
    found: AtomicU64,
    changed: AtomicU64,
    drift: Mutex<BTreeMap<Drift, Drifted>>,
}

impl Counts {
    /// Of steps that are counted there when they are over.
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, found: AtomicU64::new(0), changed: AtomicU64::new(0), drift: Mutex::default() }
    }

    pub(crate) fn found(&self, things: u64) {
        self.found.fetch_add(things, Relaxed);
    }

    pub(crate) fn changed(&self, things: u64) {
        self.changed.fetch_add(things, Relaxed);
    }

    /// So many things of this kind have come apart.
    pub(crate) fn drifted(&self, kind: Drift, things: u64) {
        self.add(kind, Drifted { found: things, repaired: 0 });
    }

    /// So many of them are put right.
    pub(crate) fn repaired(&self, kind: Drift, things: u64) {
        self.add(kind, Drifted { found: 0, repaired: things });
    }

    fn add(&self, kind: Drift, drifted: Drifted) {
        if drifted != Drifted::default() {
            *self.drift().entry(kind).or_default() += drifted;
        }
    }

    fn drift(&self) -> MutexGuard<'_, BTreeMap<Drift, Drifted>> {
        // They are numbers, whatever panicked.
        self.drift.lock().unwrap_or_else(PoisonError::into_inner)
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
