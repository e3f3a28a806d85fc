//! How the rate changed during a measurement.

use std::time::Duration;

/// How many jobs had been run at which time, counted from the start of the clock. Ordered by time.
pub(crate) type Progress = [(Duration, u64)];

/// Jobs per second of the first tenth and the last tenth of the jobs. The last tenth ends when all jobs are done. Jobs
/// run in bursts, as they are claimed: with a few thousand jobs, a tenth says little.
pub(crate) fn first_and_last_tenth(progress: &Progress, took: Duration) -> (f64, f64) {
    let last = progress.last().map_or(0, |(_, done)| *done);
    let tenth = last.div_ceil(10);
    let (first_at, first) = progress.iter().find(|(_, done)| *done >= tenth).copied().unwrap_or((took, last));
    // A burst that begins before the last tenth counts as a whole. Otherwise a burst that covers the whole tenth would
    // give no rate.
    let before = progress.iter().rev().find(|(_, done)| *done <= last - tenth);
    let (from, mark) = before.copied().unwrap_or((Duration::ZERO, 0));
    (rate(first, first_at), rate(last - mark, took.saturating_sub(from)))
}

/// Jobs per second in each tenth of this time.
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
        let progress = at(&[(100, 100), (500, 500), (900, 900), (1400, 950), (1890, 1000)]);
        assert_eq!(first_and_last_tenth(&progress, Duration::from_millis(1900)), (1000.0, 100.0));
    }

    #[test]
    fn a_drain_of_one_job_is_both_of_its_tenths() {
        assert_eq!(first_and_last_tenth(&at(&[(10, 1)]), Duration::from_millis(20)), (100.0, 50.0));
        assert_eq!(first_and_last_tenth(&[], Duration::from_millis(20)), (0.0, 0.0));
    }

    #[test]
    fn tenths_of_a_time_hold_what_was_run_in_them() {
        let progress: Vec<_> = (1..=100).map(|nth| (Duration::from_millis(nth * 10), nth * 5)).collect();
        assert_eq!(tenths(&progress, Duration::from_secs(1)), [500.0; 10]);
        let stalled = tenths(&progress[..50], Duration::from_secs(1));
        assert_eq!((stalled[4], stalled[5], stalled[9]), (500.0, 0.0, 0.0));
    }
}
