//! How many slots were busy before the fault, and how long it took after each blow until as many were busy again.

use super::rates::first;
use crate::moments::Moments;
use leasehold_tests::{LogLine, Step};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Slots in which a handler ran, on average over a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Busy {
    pub(crate) before: f64,
    /// The slowest, from each blow on; `None`: after one of them it was never so.
    pub(crate) back_s: Option<f64>,
    /// In the worst tenth of a second between the first blow and the end of the load.
    pub(crate) least: f64,
}

const TENTH_MS: i64 = 100;

/// Handlers, each from its start to its end, in the order of their starts.
struct Runs {
    runs: Vec<(i64, i64)>,
    longest_ms: i64,
}

impl Busy {
    /// `as_before`: which part of the slots busy before counts as all of them.
    pub(crate) fn of(log: &[LogLine], moments: &Moments, as_before: f64) -> Self {
        let runs = Runs::of(log, moments);
        let before = runs.mean(moments.steady, moments.fault);
        let is_busy = |from, to| runs.mean(from, to) >= before * as_before;
        let blows = if moments.blows.is_empty() { vec![moments.healed] } else { moments.blows.clone() };
        let back = blows.iter().map(|blow| Some(first(*blow, moments.load_stopped, is_busy)? - blow));
        let slowest: Option<i64> = back.collect::<Option<Vec<_>>>().and_then(|back| back.into_iter().max());
        let from = blows.first().copied().unwrap_or(moments.healed);
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
        // One that has no end is still running, or went with its worker.
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
