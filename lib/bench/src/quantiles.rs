//! Quantiles of the values of a measurement.

use serde::{Deserialize, Serialize};

/// The quantiles that [`Quantiles`] holds.
const PARTS: [f64; 13] = [0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0];

/// The smallest value such that at least this part of all values is not above it. `None` if there are no values.
///
/// `sorted` must be sorted.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let nth = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(nth.saturating_sub(1)).copied()
}

/// A distribution as pairs of quantile and value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantiles(pub Vec<(f64, f64)>);

impl Quantiles {
    /// The quantiles of sorted values.
    #[must_use]
    pub fn of(sorted: &[f64]) -> Self {
        Self(PARTS.iter().filter_map(|part| Some((*part, quantile(sorted, *part)?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&values, part)), [1.0, 100.0, 198.0, 200.0].map(Some));
        assert_eq!((quantile(&[], 0.5), quantile(&[7.0], 0.01)), (None, Some(7.0)));
        assert_eq!(Quantiles::of(&[]).0, []);
    }
}
