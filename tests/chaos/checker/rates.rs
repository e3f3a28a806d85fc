//! How fast jobs ended before, during and after the fault, and how long it took to be as before.

use crate::{evidence::Evidence, moments::now_ms};
use leasehold_tests::Step;

/// Jobs ending in so long a time are compared with those before the fault.
const SPAN_MS: i64 = 500;
/// As fast as before, on a machine that is never quite alike: this part of it.
const AS_BEFORE: f64 = 0.7;
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
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let mut ends: Vec<i64> =
            evidence.log.iter().filter(|line| line.step == Step::End).map(|line| line.at_ms).collect();
        ends.sort_unstable();
        let between =
            |from: i64, to: i64| ends.partition_point(|end| *end < to) - ends.partition_point(|end| *end < from);
        let rate =
            |from: i64, to: i64| if to > from { between(from, to) as f64 * 1000.0 / (to - from) as f64 } else { 0.0 };
        let moments = &evidence.moments;
        let before = rate(moments.steady, moments.fault);
        let last = moments.load_stopped - SPAN_MS;
        let back =
            (moments.healed..=last).step_by(STEP_MS).find(|from| rate(*from, from + SPAN_MS) >= before * AS_BEFORE);
        Self {
            before,
            during: rate(moments.fault, moments.healed),
            back_s: back.map(|from| (from - moments.healed) as f64 / 1000.0),
            longest_pause_s: longest_pause_s(evidence),
        }
    }
}

fn longest_pause_s(evidence: &Evidence) -> f64 {
    let window = evidence.moments.fault..evidence.moments.load_stopped;
    let starts = evidence.log.iter().filter(|line| line.step == Step::Start).map(|line| line.at_ms);
    let mut starts: Vec<i64> =
        starts.filter(|at_ms| window.contains(at_ms)).chain([window.start, window.end]).collect();
    starts.sort_unstable();
    let longest = starts.windows(2).map(|pair| pair[1] - pair[0]).max();
    longest.unwrap_or(0) as f64 / 1000.0
}

/// Of the jobs that killed workers held: the longest time from a kill until another worker had begun the job. `None` if
/// the killed held nothing, which shows nothing.
pub(crate) fn orphans_back_s(evidence: &Evidence) -> Option<f64> {
    let mut slowest = None;
    for kill in &evidence.moments.kills {
        let Some(worker) = evidence.log.iter().find(|line| line.pid == kill.pid).map(|line| line.worker) else {
            continue;
        };
        for row in &evidence.rows {
            let lost = row.trail.iter().find(|entry| {
                entry.verb == "expire"
                    && entry.worker.is_some_and(|of| of.0 == worker)
                    && entry.at.timestamp_millis() >= kill.at_ms
            });
            // What is dead is not begun again.
            let Some(lost) = lost.filter(|lost| lost.epoch < row.epoch) else { continue };
            let begun = evidence
                .log
                .iter()
                .find(|line| line.id == row.id && line.epoch > lost.epoch && line.step == Step::Start);
            let back_ms = begun.map_or_else(now_ms, |line| line.at_ms) - kill.at_ms;
            slowest = slowest.max(Some(back_ms));
        }
    }
    slowest.map(|ms| ms as f64 / 1000.0)
}
