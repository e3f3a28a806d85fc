//! Times, durations and numbers as people read them, in every text that Leasehold prints.

use chrono::{DateTime, Utc};

/// A duration in its two largest units: `3d 4h`, `12m 5s`, `1.4s`, `250ms`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 0.9995 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let largest = units.iter().position(|(_, size)| whole >= *size).unwrap_or(3);
    let parts = units[largest..].iter().take(2).scan(whole, |left, (unit, size)| {
        let count = *left / size;
        *left %= size;
        Some((count, unit))
    });
    parts.filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// A duration in milliseconds, as [`duration`].
#[must_use]
pub fn duration_ms(milliseconds: u64) -> String {
    duration(milliseconds as f64 / 1000.0)
}

/// A time in UTC, to the second.
#[must_use]
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A number of things: `1 job`, `12,345 jobs`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with commas between its thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (0.0, "0ms"),
            (0.25, "250ms"),
            (0.9996, "1.0s"),
            (1.44, "1.4s"),
            (9.96, "10s"),
            (65.0, "1m 5s"),
            (3600.0, "1h"),
            (90_000.0, "1d 1h"),
            (-1.0, "0ms"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "job", "jobs"), "1 job");
    }
}
