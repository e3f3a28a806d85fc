//! Random numbers for waits and retries: real, or from a seed when a test must repeat a run exactly. Also backoff with
//! jitter, for the next try after a call has failed or found nothing.

use leasehold_core::Backoff;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The random numbers of one worker.
#[derive(Debug)]
pub struct Jitter(Mutex<StdRng>);

impl Jitter {
    /// Other numbers each time.
    #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
    pub fn new() -> Self {
        Self::seeded(rand::random())
    }

    /// The same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Uniform in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

/// Waits that grow with each try and have jitter, so that the processes of a fleet do not all return at the same
/// moment.
#[derive(Debug)]
pub struct Waits {
    backoff: Backoff,
    tries: i32,
}

impl Waits {
    /// The first wait is at most `base_ms`; no wait is longer than `cap_ms`.
    pub const fn new(base_ms: u64, cap_ms: u64) -> Self {
        Self { backoff: Backoff::exponential(Duration::from_millis(base_ms), Duration::from_millis(cap_ms)), tries: 0 }
    }

    /// The next wait.
    pub fn next(&mut self, jitter: &Jitter) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.backoff.delay(self.tries, jitter.fraction())
    }

    /// A call succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}
