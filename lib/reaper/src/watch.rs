//! The totals and the pulse of a running reaper, for metrics and for health checks.

use crate::report::{PATIENCE, StepReport};
use leasehold_core::{Drift, Drifted};
use leasehold_ports::Pulse;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The counters of a reaper since its start.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By step.
    pub steps: BTreeMap<&'static str, StepTotals>,
    /// By kind of drift. A kind that was never found is not in the map.
    pub drift: BTreeMap<Drift, Drifted>,
    /// How often the reaper found Redis emptied.
    pub redis_losses: u64,
    /// How late scheduled jobs came into the line.
    pub lateness: Lateness,
}

/// How long after their time scheduled jobs came into the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lateness {
    /// A histogram: for each bound of [`Lateness::BOUNDS_S`], how many jobs were late by at most this bound and by more than the
    /// bound before; and last, how many were late by more than all bounds.
    pub jobs: [u64; Lateness::BOUNDS_S.len() + 1],
    /// The sum, in seconds.
    pub sum_s: f64,
}

impl Lateness {
    /// In seconds.
    pub const BOUNDS_S: [f64; 8] = [0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

    fn add(&mut self, late: Duration) {
        let late_s = late.as_secs_f64();
        self.sum_s += late_s;
        self.jobs[Self::BOUNDS_S.iter().position(|bound| late_s <= *bound).unwrap_or(Self::BOUNDS_S.len())] += 1;
    }
}

/// The counters of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTotals {
    /// The number of runs.
    pub runs: u64,
    /// The number of things that the step checked.
    pub found: u64,
    /// The number of things that the step changed.
    pub changed: u64,
    /// The number of runs that could not do all of their work.
    pub errors: u64,
    /// The duration of all runs together.
    pub took: Duration,
}

/// A view of a running reaper. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    pulse: Pulse,
    totals: Mutex<Totals>,
}

impl Watch {
    /// The view of a reaper with this tick. Each step has a timeout, and so has the check of each store. The longest time
    /// between two beats is three of these timeouts, or a tick.
    pub(crate) fn new(tick: Duration) -> Self {
        Self { shared: Arc::default(), patience: (PATIENCE + tick) * 4 }
    }

    /// The counters of the reaper since its start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.locked().clone()
    }

    /// The time since a tick began or a step ended.
    #[must_use]
    pub fn since_progress(&self) -> Duration {
        self.shared.pulse.since()
    }

    /// The longest time without progress in a healthy reaper, also when a store does not answer.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// A tick begins.
    pub(crate) fn beat(&self) {
        self.shared.pulse.beat();
    }

    /// A step has ended.
    pub(crate) fn count(&self, report: &StepReport) {
        self.beat();
        let mut totals = self.locked();
        let step = totals.steps.entry(report.step).or_default();
        step.runs += 1;
        step.found += report.found;
        step.changed += report.changed;
        step.errors += u64::from(report.error.is_some());
        step.took += Duration::from_secs_f64(report.took_ms / 1000.0);
        for (kind, drifted) in &report.drift {
            *totals.drift.entry(*kind).or_default() += *drifted;
        }
    }

    /// Scheduled jobs came into the line this long after their time.
    pub(crate) fn count_late(&self, lateness: &[Duration]) {
        if !lateness.is_empty() {
            let mut totals = self.locked();
            lateness.iter().for_each(|late| totals.lateness.add(*late));
        }
    }

    /// Redis was found emptied, and has been filled again.
    pub(crate) fn count_loss(&self) {
        self.locked().redis_losses += 1;
    }

    fn locked(&self) -> MutexGuard<'_, Totals> {
        // After a panic the numbers are still valid.
        self.shared.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
