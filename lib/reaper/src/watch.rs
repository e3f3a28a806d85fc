//! What a reaper has done so far, for whoever watches it from beside: its counters and its pulse.

use crate::report::{PATIENCE, StepReport};
use leasehold_core::{Drift, Drifted};
use leasehold_ports::Pulse;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a reaper has done in its life.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By step.
    pub steps: BTreeMap<&'static str, StepTotals>,
    /// By kind of drift; a kind that was never found is not in it.
    pub drift: BTreeMap<Drift, Drifted>,
    /// How often it found Redis emptied.
    pub redis_losses: u64,
}

/// What one step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTotals {
    /// Times it was done.
    pub runs: u64,
    /// Things it looked at.
    pub found: u64,
    /// Things it changed.
    pub changed: u64,
    /// Times it could not do all of its work.
    pub errors: u64,
    /// How long it took, all together.
    pub took: Duration,
}

/// A view of a reaper that is at work. Cheap to clone.
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
    /// Of a reaper with this tick. Each step is given up after a time, and so are the looks at
    /// both stores before them: the longest way from one beat to the next is three of those, or a tick.
    pub(crate) fn new(tick: Duration) -> Self {
        Self { shared: Arc::default(), patience: (PATIENCE + tick) * 4 }
    }

    /// What it has done.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.locked().clone()
    }

    /// How long ago it came to the end of a step.
    #[must_use]
    pub fn since_progress(&self) -> Duration {
        self.shared.pulse.since()
    }

    /// How long that may be in a reaper that works, whatever the stores do.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// A tick begins.
    pub(crate) fn beat(&self) {
        self.shared.pulse.beat();
    }

    /// A step is over.
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

    /// Redis was found emptied, and is filled again.
    pub(crate) fn count_loss(&self) {
        self.locked().redis_losses += 1;
    }

    fn locked(&self) -> MutexGuard<'_, Totals> {
        // Counts are added one by one: whatever panicked, they are numbers.
        self.shared.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
