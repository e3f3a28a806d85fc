//! A distribution: how many values lie between fixed bounds. Any number of threads may add values at the same time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The sum is kept in millionths, so that it can be added to without a lock.
const MILLIONTHS: f64 = 1e6;

/// The values that were added so far, counted between bounds.
#[derive(Debug)]
pub struct Distribution {
    bounds: &'static [f64],
    /// One more than bounds: the last one counts the values above all bounds.
    counts: Vec<AtomicU64>,
    sum_millionths: AtomicU64,
}

/// A distribution at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// For each bound, in ascending order, how many values are at most this bound and more than the bound before. The last bound is
    /// [`f64::MAX`].
    pub counts: Vec<(f64, u64)>,
    /// The sum of all values.
    pub sum: f64,
}

impl Distribution {
    /// `bounds`: in ascending order.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_millionths: AtomicU64::new(0) }
    }

    /// Adds a value. A value below 0 counts as 0.
    pub fn add(&self, value: f64) {
        let nth = self.bounds.partition_point(|bound| *bound < value);
        self.counts[nth].fetch_add(1, Relaxed);
        let millionths = (value * MILLIONTHS).round() as u64;
        self.sum_millionths.fetch_add(millionths, Relaxed);
    }

    /// The distribution now. A value that another thread adds during this call may be in the counts and not yet in the sum.
    #[must_use]
    pub fn read(&self) -> Reading {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        let sum = self.sum_millionths.load(Relaxed) as f64 / MILLIONTHS;
        Reading { counts: self.bounds.iter().copied().chain([f64::MAX]).zip(counts).collect(), sum }
    }
}

impl Reading {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Adds the values of a distribution with the same bounds.
    pub fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        for ((_, count), (_, added)) in self.counts.iter_mut().zip(&other.counts) {
            *count += added;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_the_first_bound_that_it_does_not_exceed() {
        let of = Distribution::new(&[0.5, 1.0]);
        for value in [-1.0, 0.0, 0.5, 0.75, 1.0, 1.5, 1e30] {
            of.add(value);
        }
        let read = of.read();
        assert_eq!(read.counts, [(0.5, 3), (1.0, 2), (f64::MAX, 2)]);
        assert_eq!(read.count(), 7);
    }

    #[test]
    fn readings_of_the_same_bounds_can_be_added() {
        let (one, other) = (Distribution::new(&[1.0]), Distribution::new(&[1.0]));
        one.add(0.25);
        other.add(0.5);
        other.add(2.0);
        let mut both = one.read();
        both.add(&other.read());
        assert_eq!(both, Reading { counts: vec![(1.0, 2), (f64::MAX, 1)], sum: 2.75 });
    }
}
