//! Durations in the JSON fields of a job: `"90s"`, `"1500ms"`, `"1h30m"`. PostgreSQL can read each duration that is written here
//! as an interval.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

/// A duration as text, in the largest of the units s and ms that loses nothing.
pub(crate) fn written(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// For `#[serde(with = …)]`.
pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&written(*duration)),
        None => serializer.serialize_none(),
    }
}

/// For `#[serde(with = …)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let read = |text: String| {
        humantime::parse_duration(text.trim()).map_err(|error| {
            D::Error::custom(format!("{text:?} is no duration: {error}; write 10s, 5m, 1h30m or 250ms"))
        })
    };
    text.map(read).transpose()
}
