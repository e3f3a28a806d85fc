//! The rate of jobs before, during and after the fault, and the time until the rate recovered.

use crate::moments::Moments;
use leasehold_tests::{LogLine, Step};

/// The length of the window whose rate is compared with the rate before the fault.
const WINDOW_MS: i64 = 500;
const STEP_MS: usize = 50;

/// Ended handlers per second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) before: f64,
    pub(crate) during: f64,
    /// The time from the end of the fault until the rate recovered; `None`: the rate never recovered.
    pub(crate) back_s: Option<f64>,
    /// The longest time in which no job was started, from the start of the fault to the end of the load.
    pub(crate) longest_pause_s: f64,
}

impl Rates {
    /// `recovery_threshold`: the part of the earlier rate that counts as recovered; the speed of a machine always varies.
    pub(crate) fn of(log: &[LogLine], moments: &Moments, recovery_threshold: f64) -> Self {
        let mut ends: Vec<i64> = log.iter().filter(|line| line.step == Step::End).map(|line| line.at_ms).collect();
        ends.sort_unstable();
        let between =
            |from: i64, to: i64| ends.partition_point(|end| *end < to) - ends.partition_point(|end| *end < from);
        let rate =
            |from: i64, to: i64| if to > from { between(from, to) as f64 * 1000.0 / (to - from) as f64 } else { 0.0 };
        let before = rate(moments.steady, moments.fault);
        let back =
            first(moments.healed, moments.load_stopped, |from, to| rate(from, to) >= before * recovery_threshold);
        Self {
            before,
            during: rate(moments.fault, moments.healed),
            back_s: back.map(|from| (from - moments.healed) as f64 / 1000.0),
            longest_pause_s: longest_pause_s(log, moments),
        }
    }
}

/// The start of the first window after `from` for which `is_so` holds.
pub(super) fn first(from: i64, end: i64, is_so: impl Fn(i64, i64) -> bool) -> Option<i64> {
    (from..=end - WINDOW_MS).step_by(STEP_MS).find(|from| is_so(*from, from + WINDOW_MS))
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
