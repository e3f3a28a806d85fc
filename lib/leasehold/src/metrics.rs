//! The counters of workers and reapers, as metrics for Prometheus.

use leasehold_reaper::{Drift, Lateness};
use leasehold_telemetry::{
    Collector, DescriptorEncoder,
    exposition::{counter, counters, gauge, gauges, histogram},
};
use std::fmt;

/// The counters of a worker.
#[derive(Debug)]
pub(crate) struct WorkerMetrics(pub(crate) leasehold_worker::Watch);

impl Collector for WorkerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (tally, encoder) = (self.0.tally(), &mut encoder);
        counter(encoder, "leasehold_claims", "Jobs claimed", tally.claimed)?;
        counter(encoder, "leasehold_completes", "Runs that ended in a result", tally.succeeded)?;
        counter(encoder, "leasehold_retries", "Runs that failed and will be tried again", tally.retried)?;
        counter(encoder, "leasehold_snoozes", "Runs that ended in a snooze", tally.snoozed)?;
        counter(encoder, "leasehold_releases", "Runs given back without spending an attempt", tally.released)?;
        counter(encoder, "leasehold_buries", "Runs that ended their job as dead", tally.buried)?;
        counter(encoder, "leasehold_cancels", "Runs that ended because of a cancel", tally.cancelled)?;
        counter(encoder, "leasehold_leases_lost", "Runs whose lease was found lost", tally.leases_lost)?;
        counter(encoder, "leasehold_hints_refused", "Hints that PostgreSQL did not confirm", tally.hints_refused)?;
        counter(
            encoder,
            "leasehold_stale_writes_refused",
            "Results that came after the lease was lost, and were not written",
            tally.stale_writes_refused,
        )?;
        counter(
            encoder,
            "leasehold_settles_held_up",
            "Times the end of a run could not be written yet, because another transaction had locked its row",
            tally.settles_held_up,
        )?;
        counter(
            encoder,
            "leasehold_settles_deferred",
            "Ends of runs that a stop left for the reaper to write",
            tally.deferred,
        )?;
        gauge(encoder, "leasehold_running", "Jobs held by this worker", self.0.running() as u64)?;
        let lacks = u64::from(self.0.lack().is_some());
        gauge(encoder, "leasehold_worker_lacking", "1 while this worker lacks something that its jobs need", lacks)?;
        let slots = self.0.slots();
        let each = || slots.iter().map(|(queue, of)| (queue.as_str(), of));
        let all = each().map(|(queue, of)| (queue, of.all as u64));
        gauges(encoder, "leasehold_slots", "Jobs that may run at once", "queue", all)?;
        let free = each().map(|(queue, of)| (queue, of.free as u64));
        gauges(encoder, "leasehold_slots_free", "Slots in which no job runs", "queue", free)
    }
}

/// The counters of a reaper.
#[derive(Debug)]
pub(crate) struct ReaperMetrics(pub(crate) leasehold_reaper::Watch);

impl Collector for ReaperMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (totals, encoder) = (self.0.totals(), &mut encoder);
        let steps = || totals.steps.iter().map(|(step, of)| (*step, of));
        let runs = steps().map(|(step, of)| (step, of.runs));
        counters(encoder, "leasehold_reaper_steps", "Times a step ran", "step", runs)?;
        let seconds = steps().map(|(step, of)| (step, of.took.as_secs_f64()));
        counters(encoder, "leasehold_reaper_step_seconds", "Seconds spent in a step", "step", seconds)?;
        let found = steps().map(|(step, of)| (step, of.found));
        counters(encoder, "leasehold_reaper_found", "Items that a step found", "step", found)?;
        let changed = steps().map(|(step, of)| (step, of.changed));
        counters(encoder, "leasehold_reaper_changed", "Items that a step changed", "step", changed)?;
        let errors = steps().map(|(step, of)| (step, of.errors));
        counters(encoder, "leasehold_reaper_errors", "Times a step failed, wholly or in part", "step", errors)?;
        // Every kind from the start: Prometheus sees no increase in a counter that first appears with its first event.
        let kinds =
            || Drift::ALL.iter().map(|kind| (kind.as_str(), totals.drift.get(kind).copied().unwrap_or_default()));
        let found = kinds().map(|(kind, of)| (kind, of.found));
        counters(encoder, "leasehold_drift", "Disagreements of line, head and leases found", "kind", found)?;
        let repaired = kinds().map(|(kind, of)| (kind, of.repaired));
        counters(encoder, "leasehold_repairs", "Disagreements repaired", "kind", repaired)?;
        let losses = totals.redis_losses;
        counter(encoder, "leasehold_redis_losses", "Times Redis was found empty and was filled again", losses)?;
        let late = totals.lateness;
        let bounds = Lateness::BOUNDS_S.into_iter().chain([f64::MAX]).zip(late.jobs).collect::<Vec<_>>();
        histogram(
            encoder,
            "leasehold_due_lateness_seconds",
            "How long after its time a scheduled job came into the line",
            late.sum_s,
            &bounds,
        )
    }
}
