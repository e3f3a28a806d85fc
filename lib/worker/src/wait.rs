//! How long to wait before the next try, after a call has failed or found nothing.

use crate::jitter::Jitter;
use leasehold_core::Backoff;
use std::time::Duration;

/// Waits that grow with each try and have jitter, so that a fleet does not return all at once.
#[derive(Debug)]
pub(crate) struct Waits {
    backoff: Backoff,
    tries: i32,
}

impl Waits {
    /// The first wait is at most `base_ms`; no wait is longer than `cap_ms`.
    pub(crate) const fn new(base_ms: u64, cap_ms: u64) -> Self {
        Self { backoff: Backoff { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) }, tries: 0 }
    }

    /// The next wait.
    pub(crate) fn next(&mut self, jitter: &Jitter) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.backoff.delay(self.tries, jitter.fraction())
    }

    /// A call succeeded: the next wait is short again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}
