//! Times relative to now, as people read them. The rest is in `lib/client`, whose texts say the same.

use chrono::{DateTime, Local, Utc};
pub(crate) use leasehold_client::text::{count, duration, grouped};

/// A time in the local zone, with its distance from now.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    format!("{} ({})", time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z"), from_now(time))
}

/// The distance of a time from now: `4m ago`, `in 2h 5m`.
pub(crate) fn from_now(time: DateTime<Utc>) -> String {
    let seconds = (time - Utc::now()).as_seconds_f64();
    if seconds > 0.0 { format!("in {}", duration(seconds)) } else { format!("{} ago", duration(-seconds)) }
}

/// How long ago a time was.
pub(crate) fn age(time: DateTime<Utc>) -> String {
    duration((Utc::now() - time).as_seconds_f64())
}
