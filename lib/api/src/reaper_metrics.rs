//! The counters of a reaper.

use crate::exposition::{counter, counters};
use leasehold_reaper::{Drift, Watch};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::fmt;

/// The counters of a reaper.
#[derive(Debug)]
pub(crate) struct ReaperMetrics(pub(crate) Watch);

impl Collector for ReaperMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (totals, encoder) = (self.0.totals(), &mut encoder);
        let steps = || totals.steps.iter().map(|(step, of)| (*step, of));
        let runs = steps().map(|(step, of)| (step, of.runs));
        counters(encoder, "leasehold_reaper_steps", "Times a step was done", "step", runs)?;
        let seconds = steps().map(|(step, of)| (step, of.took.as_secs_f64()));
        counters(encoder, "leasehold_reaper_step_seconds", "Time a step took", "step", seconds)?;
        let found = steps().map(|(step, of)| (step, of.found));
        counters(encoder, "leasehold_reaper_found", "Things a step looked at", "step", found)?;
        let changed = steps().map(|(step, of)| (step, of.changed));
        counters(encoder, "leasehold_reaper_changed", "Things a step changed", "step", changed)?;
        let errors = steps().map(|(step, of)| (step, of.errors));
        counters(encoder, "leasehold_reaper_errors", "Times a step could not do all of its work", "step", errors)?;
        // Every kind from the start: a counter that appears with its first event has no rate at that event.
        let kinds =
            || Drift::ALL.iter().map(|kind| (kind.as_str(), totals.drift.get(kind).copied().unwrap_or_default()));
        let found = kinds().map(|(kind, of)| (kind, of.found));
        counters(encoder, "leasehold_drift", "Disagreements of line, head and leases that were found", "kind", found)?;
        let repaired = kinds().map(|(kind, of)| (kind, of.repaired));
        counters(encoder, "leasehold_repairs", "Disagreements that were put right", "kind", repaired)?;
        let losses = totals.redis_losses;
        counter(encoder, "leasehold_redis_losses", "Times Redis was found emptied and was filled again", losses)
    }
}
