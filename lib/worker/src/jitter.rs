//! The randomness of waits and retries: real, or from a seed when a test must repeat a run exactly.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::sync::{Mutex, PoisonError};

/// The random numbers of one worker.
#[derive(Debug)]
pub(crate) struct Jitter(Mutex<StdRng>);

impl Jitter {
    pub(crate) fn new() -> Self {
        Self::seeded(rand::random())
    }

    /// The same numbers for the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Uniform in `0.0..1.0`.
    pub(crate) fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}
