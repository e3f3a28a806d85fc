//! The reports of steps.

use leasehold_core::{Drift, Drifted};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The timeout of a step. If a step hangs, the next tick tries again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The findings and changes of one step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step: survey, deferred, expire, promote, cancel, pauses, adopt, leases, head, sweep, pods, retain.
    pub step: &'static str,
    /// The number of things that the step checked.
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
