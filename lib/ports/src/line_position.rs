//! A position in the order of a line.

use chrono::{DateTime, Utc};
use leasehold_core::JobId;
use std::{fmt, str::FromStr};

/// The position of a job in its line, now or in the past. The order of the line stays defined behind a position even
/// when its job is gone.
///
/// The text form is short and has no spaces: `<line_at in µs since 1970>/<id>`. Redis keeps it for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePosition {
    /// A lower `line_at` comes first, in whole µs,
    pub line_at: DateTime<Utc>,
    /// then a lower id.
    pub id: JobId,
}

/// A text that is not a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a position in a line")]
pub struct InvalidLinePosition(String);

impl fmt::Display for LinePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.line_at.timestamp_micros(), self.id)
    }
}

impl FromStr for LinePosition {
    type Err = InvalidLinePosition;

    fn from_str(text: &str) -> Result<Self, InvalidLinePosition> {
        let read = || {
            let (line_at, id) = text.split_once('/')?;
            let line_at = DateTime::from_timestamp_micros(line_at.parse().ok()?)?;
            Some(Self { line_at, id: id.parse().ok()? })
        };
        read().ok_or_else(|| InvalidLinePosition(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    /// The range of chrono, in µs.
    const RANGE: std::ops::RangeInclusive<i64> =
        DateTime::<Utc>::MIN_UTC.timestamp_micros() + 1..=DateTime::<Utc>::MAX_UTC.timestamp_micros();

    proptest! {
        #[test]
        fn a_position_survives_its_text_form(micros in RANGE, id: u128) {
            let line_at = DateTime::from_timestamp_micros(micros).expect("a time");
            let place = LinePosition { line_at, id: JobId(Uuid::from_u128(id)) };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn every_text_is_parsed_without_a_panic(text: String) {
            if let Ok(place) = text.parse::<LinePosition>() {
                prop_assert_eq!(place.to_string().parse(), Ok(place));
            }
        }
    }

    #[test]
    fn the_text_form_is_short_and_other_texts_are_refused() {
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let place: LinePosition = format!("1763884800123456/{id}").parse().expect("a place");
        assert_eq!(place.line_at.to_rfc3339(), "2025-11-23T08:00:00.123456+00:00");
        assert_eq!(place.to_string(), format!("1763884800123456/{id}"));
        for wrong in ["", "1", "0/0", &format!("-7/0/{id}"), &format!("x/{id}"), &format!("0/{id}/1"), "0/x"] {
            assert_eq!(wrong.parse::<LinePosition>(), Err(InvalidLinePosition(wrong.to_owned())));
        }
    }
}
