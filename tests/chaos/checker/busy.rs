//! The number of busy slots before the fault, and the time after each injection until as many slots were busy again.

use super::rates::first;
use crate::moments::Moments;
use leasehold_tests::{LogLine, Step};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The average number of slots with a running handler.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Busy {
    pub(crate) before: f64,
    /// The recovery time, measured from each injection; the slowest counts. `None`: after one injection the slots did
    /// not recover.
    pub(crate) back_s: Option<f64>,
    /// The minimum over tenths of a second between the first injection and the end of the load.
    pub(crate) least: f64,
}

const TENTH_MS: i64 = 100;

/// Runs of handlers from start to end, in the order of their starts.
struct Runs {
    runs: Vec<(i64, i64)>,
    longest_ms: i64,
}

impl Busy {
    /// `recovery_threshold`: the part of the busy slots before the fault that counts as recovered.
    pub(crate) fn of(log: &[LogLine], moments: &Moments, recovery_threshold: f64) -> Self {
        let runs = Runs::of(log, moments);
        let before = runs.mean(moments.steady, moments.fault);
        let is_busy = |from, to| runs.mean(from, to) >= before * recovery_threshold;
        let injections = if moments.injections.is_empty() { vec![moments.healed] } else { moments.injections.clone() };
        let back =
            injections.iter().map(|injection| Some(first(*injection, moments.load_stopped, is_busy)? - injection));
        let slowest: Option<i64> = back.collect::<Option<Vec<_>>>().and_then(|back| back.into_iter().max());
        let from = injections.first().copied().unwrap_or(moments.healed);
        let tenths = (from..=moments.load_stopped - TENTH_MS).step_by(TENTH_MS as usize / 2);
        let least = tenths.map(|from| runs.mean(from, from + TENTH_MS)).reduce(f64::min).unwrap_or(0.0);
        Self { before, back_s: slowest.map(|ms| ms as f64 / 1000.0), least }
    }
}

impl Runs {
    fn of(log: &[LogLine], moments: &Moments) -> Self {
        let mut ends: BTreeMap<(Uuid, i32), i64> = BTreeMap::new();
        for line in log.iter().filter(|line| line.step != Step::Start) {
            ends.insert((line.id, line.epoch), line.at_ms);
        }
        // A run without an end is still running, or it ended with its worker.
        let open = |line: &LogLine| {
            let kill = moments.kills.iter().find(|kill| kill.pid == line.pid);
            kill.map_or(moments.load_stopped, |kill| kill.at_ms)
        };
        let starts = log.iter().filter(|line| line.step == Step::Start);
        let mut runs: Vec<(i64, i64)> = starts
            .map(|line| (line.at_ms, ends.get(&(line.id, line.epoch)).copied().unwrap_or_else(|| open(line))))
            .collect();
        runs.sort_unstable();
        let longest_ms = runs.iter().map(|(start, end)| end - start).max().unwrap_or(0);
        Self { runs, longest_ms }
    }

    fn mean(&self, from: i64, to: i64) -> f64 {
        let first = self.runs.partition_point(|(start, _)| *start < from - self.longest_ms);
        let within = self.runs[first..].iter().take_while(|(start, _)| *start < to);
        let busy_ms: i64 = within.map(|(start, end)| (end.min(&to) - start.max(&from)).max(0)).sum();
        if to > from { busy_ms as f64 / (to - from) as f64 } else { 0.0 }
    }
}
