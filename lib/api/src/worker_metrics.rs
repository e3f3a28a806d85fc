//! The counters of a worker.

use crate::exposition::{counter, gauge, gauges};
use leasehold_worker::Watch;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::fmt;

/// The counters of a worker.
#[derive(Debug)]
pub(crate) struct WorkerMetrics(pub(crate) Watch);

impl Collector for WorkerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (tally, encoder) = (self.0.tally(), &mut encoder);
        counter(encoder, "leasehold_claims", "Jobs claimed", tally.claimed)?;
        counter(encoder, "leasehold_completes", "Runs that ended in a result", tally.succeeded)?;
        counter(encoder, "leasehold_retries", "Runs that failed and will be tried again", tally.retried)?;
        counter(encoder, "leasehold_snoozes", "Runs that asked to be called again later", tally.snoozed)?;
        counter(encoder, "leasehold_releases", "Runs given back unharmed", tally.released)?;
        counter(encoder, "leasehold_buries", "Runs that ended their job as dead", tally.buried)?;
        counter(encoder, "leasehold_cancels", "Runs that ended because a cancel was wanted", tally.cancelled)?;
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
        gauge(encoder, "leasehold_worker_lacking", "1 while it lacks something that its jobs need", lacks)?;
        let slots = self.0.slots();
        let each = || slots.iter().map(|(queue, of)| (queue.as_str(), of));
        let all = each().map(|(queue, of)| (queue, of.all as u64));
        gauges(encoder, "leasehold_slots", "Jobs that may run at once", "queue", all)?;
        let free = each().map(|(queue, of)| (queue, of.free as u64));
        gauges(encoder, "leasehold_slots_free", "Slots in which nothing runs", "queue", free)
    }
}
