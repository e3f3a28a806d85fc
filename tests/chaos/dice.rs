//! Random choices. The same seed gives the same choices.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{ops::Range, time::Duration};

/// Chooses targets and times of faults.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn number(&mut self, range: Range<usize>) -> usize {
        self.0.random_range(range)
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.0.random_range(range))
    }

    pub(crate) fn percent(&mut self, of_hundred: usize) -> bool {
        self.number(0..100) < of_hundred
    }

    pub(crate) fn one_of<T>(&mut self, choices: &mut Vec<T>) -> Option<T> {
        if choices.is_empty() { None } else { Some(choices.swap_remove(self.number(0..choices.len()))) }
    }
}
