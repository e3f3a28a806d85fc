//! The delay before the next attempt of a failed job.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Exponential backoff with jitter.
/// The delay doubles from `base` with each attempt, up to `cap`. The jitter then takes a random part off the upper
/// half: jobs that failed together do not return together, and no job returns before half of its delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The delay after the first attempt, before jitter.
    pub base: Duration,
    /// No delay is longer than this.
    pub cap: Duration,
}

impl Default for Backoff {
    /// From 1 s, doubled up to an hour: the ninth of ten attempts starts about nine minutes after the first. This
    /// outlasts the restart of most servers.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The delay after attempt number `attempt` (1 is the first). `random` is uniform in `0.0..1.0`.
    #[must_use]
    pub fn delay(&self, attempt: i32, random: f64) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        full.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stays_between_half_and_all_of_its_time(attempt in i32::MIN..i32::MAX, random in 0.0..1.0f64, base_ms in 1..10_000u64, cap_ms in 1..10_000_000u64) {
            let backoff = Backoff { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) };
            let delay = backoff.delay(attempt, random);
            prop_assert!(delay <= backoff.cap);
            prop_assert!(delay >= backoff.base.min(backoff.cap) / 2);
        }

        #[test]
        fn never_shrinks_from_one_attempt_to_the_next(attempt in 1..60i32, random in 0.0..1.0f64) {
            let backoff = Backoff::default();
            prop_assert!(backoff.delay(attempt, random) <= backoff.delay(attempt + 1, random));
        }
    }

    #[test]
    fn spreads_jobs_that_failed_together() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.delay(3, 1.0), Duration::from_secs(4));
    }
}
