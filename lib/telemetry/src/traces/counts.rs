//! How many spans this process has exported, and how many it has lost.

use crate::exposition::{counter, counters};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// The counts of the whole process: it has one subscriber, and so one export.
pub(super) static COUNTS: Counts = Counts::new();

/// How many spans were exported, lost or dropped.
#[derive(Debug)]
pub(super) struct Counts {
    /// Spans were exported at some time. Otherwise there are no series.
    pub(super) are_shown: AtomicBool,
    /// The collector has them.
    pub(super) exported: AtomicU64,
    /// There was no room for them.
    pub(super) queue_full: AtomicU64,
    /// The collector did not take them.
    pub(super) refused: AtomicU64,
}

#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "without the export nobody counts"))]
impl Counts {
    pub(super) const fn new() -> Self {
        Self {
            are_shown: AtomicBool::new(false),
            exported: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// All spans that were lost.
    pub(super) fn dropped(&self) -> u64 {
        self.queue_full.load(Relaxed) + self.refused.load(Relaxed)
    }
}

/// The counts as metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanCounts;

impl Collector for SpanCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if !COUNTS.are_shown.load(Relaxed) {
            return Ok(());
        }
        let encoder = &mut encoder;
        counter(
            encoder,
            "leasehold_spans_exported",
            "Spans that the collector has taken",
            COUNTS.exported.load(Relaxed),
        )?;
        let dropped = [("queue_full", &COUNTS.queue_full), ("refused", &COUNTS.refused)];
        let dropped = dropped.map(|(reason, count)| (reason, count.load(Relaxed)));
        counters(encoder, "leasehold_spans_dropped", "Spans that were lost, by reason", "reason", dropped)
    }
}
