//! The forms of a metric: one counter, gauge or histogram, or one for each value of a label.

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::fmt::Error;

/// A number that only grows. `name` is without `_total`, which the text format adds.
///
/// # Errors
/// The encoder cannot write.
pub fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), Error> {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// The same for a number with fractions, such as seconds.
///
/// # Errors
/// The encoder cannot write.
pub fn counter_of(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), Error> {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// A number that goes up and down.
///
/// # Errors
/// The encoder cannot write.
pub fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), Error> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// A distribution: the sum of all values, and for each bound, in ascending order, how many values are at most this bound and more
/// than the bound before. The last bound is [`f64::MAX`].
///
/// # Errors
/// The encoder cannot write.
pub fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sum: f64,
    counts: &[(f64, u64)],
) -> Result<(), Error> {
    let count = counts.iter().map(|(_, count)| count).sum();
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    family.encode_histogram::<NoLabelSet>(sum, count, counts, None)
}

/// One distribution for each value of a label: its sum, and its counts as in [`histogram`].
///
/// # Errors
/// The encoder cannot write.
pub fn histograms<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, f64, &'a [(f64, u64)])>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (of, sum, counts) in values {
        let count = counts.iter().map(|(_, count)| count).sum();
        family.encode_family(&[(label, of)])?.encode_histogram::<NoLabelSet>(sum, count, counts, None)?;
    }
    Ok(())
}

/// One counter for each value of a label. The numbers are whole, or fractions such as seconds.
///
/// # Errors
/// The encoder cannot write.
pub fn counters<'a, N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, N)>,
) -> Result<(), Error>
where
    ConstCounter<N>: EncodeMetric,
{
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (of, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&[(label, of)])?)?;
    }
    Ok(())
}

/// One gauge for each value of a label.
///
/// # Errors
/// The encoder cannot write.
pub fn gauges<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (of, value) in values {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        ConstGauge::new(value).encode(family.encode_family(&[(label, of)])?)?;
    }
    Ok(())
}
