//! How the rate went while a measurement ran.

use std::time::Duration;

/// How many jobs had been run when, since the clock began. In order of time.
pub(crate) type Progress = [(Duration, u64)];

/// Jobs a second of the first and of the last tenth of the jobs. A tenth that no clock can see counts as infinitely fast.
pub(crate) fn first_and_last_tenth(progress: &Progress) -> (f64, f64) {
    let Some((last_at, last)) = progress.last().copied() else { return (f64::NAN, f64::NAN) };
    let (first_mark, last_mark) = (last.div_ceil(10), last - last.div_ceil(10));
    let reached = |mark| progress.iter().find(|(_, done)| *done >= mark).copied().unwrap_or((last_at, last));
    let (first_at, first_done) = reached(first_mark);
    let (mark_at, mark_done) = reached(last_mark);
    (rate(first_done, first_at), rate(last - mark_done, last_at.saturating_sub(mark_at)))
}

/// Jobs a second in each tenth of this time.
pub(crate) fn tenths(progress: &Progress, time: Duration) -> Vec<f64> {
    let part = time / 10;
    let done_by = |until: Duration| {
        let after = progress.partition_point(|(at, _)| *at <= until);
        after.checked_sub(1).map_or(0, |nth| progress[nth].1)
    };
    (0..10).map(|nth| rate(done_by(part * (nth + 1)) - done_by(part * nth), part)).collect()
}

fn rate(jobs: u64, time: Duration) -> f64 {
    jobs as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(marks: &[(u64, u64)]) -> Vec<(Duration, u64)> {
        marks.iter().map(|(ms, done)| (Duration::from_millis(*ms), *done)).collect()
    }

    #[test]
    fn a_drain_that_slows_down_shows_it() {
        // 1,000 jobs a second at first, 100 at the end.
        let progress = at(&[(100, 100), (500, 500), (900, 900), (1400, 950), (1900, 1000)]);
        assert_eq!(first_and_last_tenth(&progress), (1000.0, 100.0));
    }

    #[test]
    fn a_drain_that_is_over_at_once_is_no_reason_to_fail() {
        assert!(first_and_last_tenth(&[]).0.is_nan());
        let (first, last) = first_and_last_tenth(&at(&[(10, 1)]));
        assert!(first == 100.0 && !last.is_normal(), "{first} {last}");
    }

    #[test]
    fn tenths_of_a_time_hold_what_was_run_in_them() {
        let progress: Vec<_> = (1..=100).map(|nth| (Duration::from_millis(nth * 10), nth * 5)).collect();
        assert_eq!(tenths(&progress, Duration::from_secs(1)), [500.0; 10]);
        let stalled = tenths(&progress[..50], Duration::from_secs(1));
        assert_eq!((stalled[4], stalled[5], stalled[9]), (500.0, 0.0, 0.0));
    }
}
