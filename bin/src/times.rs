//! Times and durations as people write them.

use chrono::{DateTime, Local, NaiveDateTime, TimeZone, Utc};
use std::time::Duration;

/// Reads a duration such as `10s`, `1h30m` or `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.trim().starts_with('-') {
        return Err(format!("{text:?} must not be negative; write 10s, 5m, 1h30m or 250ms"));
    }
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("{text:?} is no duration: {error}; write 10s, 5m, 1h30m or 250ms"))
}

/// Stands for "no limit": a century.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The shortest interval. With a shorter one, PostgreSQL would do little else than count.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Reads the time between two repetitions.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < INTERVAL_MIN {
        Err(format!("{text:?} is too short; the shortest interval is 100ms"))
    } else {
        Ok(interval)
    }
}

/// Reads a time such as `2030-01-31T08:00:00Z`, or `2030-01-31 08:00` in the local zone.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return not_before_1970(text, time.to_utc());
    }
    for format in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"] {
        let Ok(naive) = NaiveDateTime::parse_from_str(text, format) else { continue };
        let time = Local.from_local_datetime(&naive).earliest();
        let time =
            time.ok_or_else(|| format!("{text:?} does not exist in the local zone: clocks are put forward then"))?;
        return not_before_1970(text, time.to_utc());
    }
    Err(format!("{text:?} is no time; write 2030-01-31T08:00:00Z, or 2030-01-31 08:00 in the local zone"))
}

fn not_before_1970(text: &str, time: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if time.timestamp() < 0 { Err(format!("{text:?} is before 1970")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused() {
        let utc = |text: &str| time(text).map(|time| time.to_rfc3339());
        assert_eq!(utc("2030-01-31T08:00:00+02:00"), Ok("2030-01-31T06:00:00+00:00".to_owned()));
        assert!(time("2030-01-31 08:00").is_ok() && time("2030-01-31 08:00:01").is_ok());
        for bad in ["", "tomorrow", "2030-13-01 00:00", "1969-12-31T23:59:59Z", "10s"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("-1s").is_err_and(|error| error.contains("must not be negative")));
        assert!(interval("0s").is_err() && interval("99ms").is_err() && interval("100ms").is_ok());
    }
}
