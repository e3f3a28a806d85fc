//! How fast jobs ended before, during and after the fault, and how long it took to be as before.

use crate::moments::Moments;
use leasehold_tests::{LogLine, Step};

/// Jobs ending in so long a time are compared with those before the fault.
const SPAN_MS: i64 = 500;
const STEP_MS: usize = 50;

/// Ends of handlers a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) before: f64,
    pub(crate) during: f64,
    /// From the end of the fault until jobs ended as fast as before; `None`: they never did.
    pub(crate) back_s: Option<f64>,
    /// The longest time in which no job was begun, from the fault to the end of the load.
    pub(crate) longest_pause_s: f64,
}

impl Rates {
    /// `as_before`: which part of the rate before counts as that rate again; no machine is always alike.
    pub(crate) fn of(log: &[LogLine], moments: &Moments, as_before: f64) -> Self {
        let mut ends: Vec<i64> = log.iter().filter(|line| line.step == Step::End).map(|line| line.at_ms).collect();
        ends.sort_unstable();
        let between =
            |from: i64, to: i64| ends.partition_point(|end| *end < to) - ends.partition_point(|end| *end < from);
        let rate =
            |from: i64, to: i64| if to > from { between(from, to) as f64 * 1000.0 / (to - from) as f64 } else { 0.0 };
        let before = rate(moments.steady, moments.fault);
        let back = first(moments.healed, moments.load_stopped, |from, to| rate(from, to) >= before * as_before);
        Self {
            before,
            during: rate(moments.fault, moments.healed),
            back_s: back.map(|from| (from - moments.healed) as f64 / 1000.0),
            longest_pause_s: longest_pause_s(log, moments),
        }
    }
}

/// The beginning of the first span after `from` of which this is so.
pub(super) fn first(from: i64, end: i64, is_so: impl Fn(i64, i64) -> bool) -> Option<i64> {
    (from..=end - SPAN_MS).step_by(STEP_MS).find(|from| is_so(*from, from + SPAN_MS))
}

fn longest_pause_s(log: &[LogLine], moments: &Moments) -> f64 {
    let window = moments.fault..moments.load_stopped;
    let starts = log.iter().filter(|line| line.step == Step::Start).map(|line| line.at_ms);
    let mut starts: Vec<i64> =
        starts.filter(|at_ms| window.contains(at_ms)).chain([window.start, window.end]).collect();
    starts.sort_unstable();
    let longest = starts.windows(2).map(|pair| pair[1] - pair[0]).max();
    longest.unwrap_or(0) as f64 / 1000.0
}
