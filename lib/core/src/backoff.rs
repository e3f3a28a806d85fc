//! The delay before the next attempt of a failed job. This file alone decides the delay.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// How the delay grows from one attempt to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Strategy {
    /// The delay doubles. A random part of its upper half is subtracted, so that jobs that failed together do not return
    /// together.
    #[default]
    Exponential,
    /// The delay grows by the same time with each attempt. No jitter.
    Linear,
    /// The delay is always the same. No jitter.
    Fixed,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::Exponential, Self::Linear, Self::Fixed];

    /// The name used in SQL, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Fixed => "fixed",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        named.ok_or_else(|| format!("{text:?} is not exponential, linear or fixed"))
    }
}

/// The delays between the attempts of a job.
///
/// ```
/// # use leasehold_core::Backoff;
/// # use std::time::Duration;
/// const BACKOFF: Backoff = Backoff::linear(Duration::from_secs(10), Duration::from_secs(60));
/// // A linear delay has no jitter, so the second argument changes nothing.
/// assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// How the delay grows.
    pub strategy: Strategy,
    /// The delay after the first attempt, before jitter.
    pub base: Duration,
    /// No delay is longer than this.
    pub cap: Duration,
}

impl Default for Backoff {
    /// From 1 s, doubled up to an hour: the ninth of ten attempts starts about nine minutes after the first. This
    /// outlasts the restart of most servers.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), Duration::from_secs(3600))
    }
}

impl Backoff {
    /// The delay doubles from `base` with each attempt, up to `cap`, and has jitter.
    #[must_use]
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self { strategy: Strategy::Exponential, base, cap }
    }

    /// The delay grows by `base` with each attempt, up to `cap`.
    #[must_use]
    pub const fn linear(base: Duration, cap: Duration) -> Self {
        Self { strategy: Strategy::Linear, base, cap }
    }

    /// Each delay is the same.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self { strategy: Strategy::Fixed, base: delay, cap: delay }
    }

    /// The delay after attempt number `attempt` (1 is the first). `random` is uniform in `0.0..1.0`.
    #[must_use]
    pub fn delay(&self, attempt: i32, random: f64) -> Duration {
        let before = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
        let full = match self.strategy {
            Strategy::Exponential => self.base.saturating_mul(1 << before.min(31)),
            Strategy::Linear => self.base.saturating_mul(before.saturating_add(1)),
            Strategy::Fixed => self.base,
        };
        let full = full.min(self.cap);
        match self.strategy {
            Strategy::Exponential => full.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0)),
            Strategy::Linear | Strategy::Fixed => full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Strategy, *};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stays_between_half_and_all_of_its_time(attempt in i32::MIN..i32::MAX, random in 0.0..1.0f64, base_ms in 1..10_000u64, cap_ms in 1..10_000_000u64, nth in 0..3usize) {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            let backoff = Backoff { strategy: Strategy::ALL[nth], base, cap };
            let delay = backoff.delay(attempt, random);
            prop_assert!(delay <= backoff.cap);
            prop_assert!(delay >= backoff.base.min(backoff.cap) / 2);
        }

        #[test]
        fn never_shrinks_from_one_attempt_to_the_next(attempt in 1..60i32, random in 0.0..1.0f64, nth in 0..3usize) {
            let backoff = Backoff { strategy: Strategy::ALL[nth], ..Backoff::default() };
            prop_assert!(backoff.delay(attempt, random) <= backoff.delay(attempt + 1, random));
        }
    }

    #[test]
    fn spreads_jobs_that_failed_together() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.delay(3, 1.0), Duration::from_secs(4));
    }

    #[test]
    fn linear_and_fixed_delays_are_exact() {
        let seconds = Duration::from_secs;
        let linear = Backoff::linear(seconds(10), seconds(25));
        assert_eq!([1, 2, 3, 4].map(|attempt| linear.delay(attempt, 0.0)), [10, 20, 25, 25].map(seconds));
        assert_eq!([1, 9].map(|attempt| Backoff::fixed(seconds(7)).delay(attempt, 0.3)), [seconds(7); 2]);
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        assert!("Linear".parse::<Strategy>().is_err());
    }
}
