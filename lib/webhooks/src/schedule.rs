//! When a message is sent again.

use std::time::{Duration, SystemTime};

/// The delays after a failed attempt: the schedule that Standard Webhooks 1.0 recommends.
const DELAYS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(10 * 3600),
];

/// How many times a message is sent: immediately, and after each delay. SQL has the same number in `webhook_ended`.
pub const ATTEMPTS_MAX: usize = DELAYS.len() + 1;

/// The longest time for which an endpoint can ask: the longest delay of the schedule.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 3600);

/// The part of a delay that is random. Without jitter, all messages of an outage would come back at the same moment.
const JITTER: f64 = 0.2;

/// The delay after a failed attempt; 1 is the first attempt. `random` is uniform in `0.0..1.0`. An endpoint can ask for a longer
/// delay, up to [`RETRY_AFTER_MAX`], but not for a shorter one.
#[must_use]
pub fn next_delay(attempt: usize, retry_after: Option<Duration>, random: f64) -> Duration {
    let nth = attempt.clamp(1, DELAYS.len()) - 1;
    let delay = DELAYS[nth].max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    delay.mul_f64(1.0 + JITTER * random)
}

/// The value of a header `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_schedule_is_that_of_the_standard() {
        let seconds: Vec<u64> = (1..ATTEMPTS_MAX).map(|attempt| next_delay(attempt, None, 0.0).as_secs()).collect();
        assert_eq!(seconds, [5, 300, 1800, 7200, 18_000, 36_000, 36_000]);
        assert_eq!(ATTEMPTS_MAX, 8);
        assert_eq!(next_delay(1, None, 0.5), S.mul_f64(5.5));
        assert_eq!(next_delay(100, None, 0.0), S * 36_000, "an operator may give a job more attempts");
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_within_bounds() {
        assert_eq!(next_delay(1, Some(S * 60), 0.0), S * 60);
        assert_eq!(next_delay(2, Some(S), 0.0), S * 300, "never sooner than the schedule");
        assert_eq!(next_delay(1, Some(Duration::MAX), 0.0), RETRY_AFTER_MAX);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(retry_after(" 120 ", now), Some(S * 120));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(S * 60));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }
}
