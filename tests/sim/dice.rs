//! The random numbers of one run, from its seed.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The random numbers of one seed, in the order of the calls.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<SmallRng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    fn rng(&self) -> MutexGuard<'_, SmallRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.rng().random_range(0..bound.max(1))
    }

    /// A random index below this number.
    pub(crate) fn index(&self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or_default()
    }

    pub(crate) fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.rng().random_bool(probability.min(1.0))
    }

    pub(crate) fn ms(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    pub(crate) fn pick<T: Clone>(&self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.rng().random()
    }
}
