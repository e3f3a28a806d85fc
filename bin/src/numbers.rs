//! Whole numbers of flags. An error names the range.

use std::ops::RangeInclusive;

/// Reads a whole number of this range.
pub(crate) fn within<T: TryFrom<i64>>(
    range: RangeInclusive<i64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_number_out_of_the_range_is_refused_with_the_range() {
        let read = within::<u16>(1..=500);
        assert_eq!((read("1"), read(" 500 ")), (Ok(1), Ok(500)));
        for refused in ["0", "-1", "501", "1.5", "x", "", "99999999999999999999999"] {
            assert_eq!(read(refused), Err("must be a whole number from 1 to 500".to_owned()), "{refused}");
        }
    }
}
