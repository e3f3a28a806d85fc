//! The counters of workers and reapers, as metrics for Prometheus.

use leasehold_core::QueueName;
use leasehold_reaper::{Drift, Lateness};
use leasehold_telemetry::{
    Collector, DescriptorEncoder, ShownQueues,
    exposition::{counter, counters, gauge, gauges, histogram, histograms},
    grouped,
};
use leasehold_worker::{CallReading, QueueReading, Slots};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The counters of a worker.
#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    watch: leasehold_worker::Watch,
    /// The queues that have separate series. The queues of a worker do not change, so these do not either.
    chosen: BTreeSet<String>,
}

impl WorkerMetrics {
    /// Of the queues that are not in the list of the settings, the first queues of the worker have separate series.
    pub(crate) fn new(watch: leasehold_worker::Watch, shown: &ShownQueues) -> Self {
        let queues = watch.queues().map(QueueName::as_str).zip((0..u64::MAX).rev());
        let chosen = shown.choose(queues, &BTreeSet::new());
        Self { watch, chosen }
    }

    /// The distributions of the shown queues, and one distribution for all other queues together.
    fn by_queue(&self) -> BTreeMap<&str, QueueReading> {
        let each = self.watch.queues().filter_map(|queue| Some((queue.as_str(), self.watch.of_queue(queue)?)));
        let each: BTreeMap<&str, QueueReading> = each.collect();
        grouped(&self.chosen, each, |sum, of| {
            sum.start_delay_s.add(&of.start_delay_s);
            sum.run_s.add(&of.run_s);
        })
    }
}

/// The distributions of calls of one kind to PostgreSQL.
fn calls(encoder: &mut DescriptorEncoder<'_>, name: &str, what: &str, of: &CallReading) -> Result<(), fmt::Error> {
    let CallReading { took_s, jobs } = of;
    let help = format!("From {what} to the answer of PostgreSQL");
    histogram(encoder, &format!("leasehold_{name}_seconds"), &help, took_s.sum, &took_s.counts)?;
    let help = format!("Jobs of {what}");
    histogram(encoder, &format!("leasehold_{name}_jobs"), &help, jobs.sum, &jobs.counts)
}

impl Collector for WorkerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (tally, encoder) = (self.watch.tally(), &mut encoder);
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
        let help = "Ends of runs that a stop could not write anywhere; these jobs run again";
        counter(encoder, "leasehold_settles_unwritten", help, tally.unwritten)?;
        gauge(encoder, "leasehold_running", "Jobs held by this worker", self.watch.running() as u64)?;
        let lacks = u64::from(self.watch.lack().is_some());
        gauge(encoder, "leasehold_worker_lacking", "1 while this worker lacks something that its jobs need", lacks)?;
        let slots = self.watch.slots();
        let of = |value: fn(&Slots) -> usize| {
            let each = slots.iter().map(|(queue, of)| (queue.as_str(), value(of) as u64));
            grouped(&self.chosen, each, |sum, value| *sum += value)
        };
        gauges(encoder, "leasehold_slots", "Jobs that may run at once", "queue", of(|of| of.all))?;
        gauges(encoder, "leasehold_slots_free", "Slots in which no job runs", "queue", of(|of| of.free))?;
        let by_queue = self.by_queue();
        let start_delays = by_queue.iter().map(|(queue, of)| (*queue, of.start_delay_s.sum, &*of.start_delay_s.counts));
        let help = "From the due time of a job to the start of its handler, without time paused; not of jobs with limit keys or parents";
        histograms(encoder, "leasehold_start_delay_seconds", help, "queue", start_delays)?;
        let runs = by_queue.iter().map(|(queue, of)| (*queue, of.run_s.sum, &*of.run_s.counts));
        histograms(encoder, "leasehold_run_seconds", "From the start of a handler to its end", "queue", runs)?;
        calls(encoder, "claim", "a claim", &self.watch.claims())?;
        calls(encoder, "settle", "a write of results", &self.watch.settles())
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
