//! The field `retry` of a job: the delays between its attempts, and for how long attempts are made.

use crate::{
    backoff::{Backoff, Strategy},
    duration_text,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a job is tried again. Fields that are left out get their values from the kind or the worker. In JSON, durations are
/// text: `{"strategy": "linear", "base": "10s", "cap": "1h", "for": "2d"}`.
///
/// ```
/// # use leasehold_core::Retry;
/// # use std::time::Duration;
/// let retry = Retry::linear(Duration::from_secs(10)).cap(Duration::from_secs(3600));
/// assert_eq!(serde_json::to_string(&retry)?, r#"{"strategy":"linear","base":"10s","cap":"3600s"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"strategy\": \"fixed\", \"base\": \"10s\"}")]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct Retry {
    /// How the delay grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The delay after the first attempt, before jitter.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration_text")]
    pub base: Option<Duration>,
    /// No delay is longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration_text")]
    pub cap: Option<Duration>,
    /// `for`: no attempt begins later than this, counted from the start of the first attempt that was spent. After this time
    /// the job is dead, even if attempts are left.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "for", with = "duration_text")]
    pub for_time: Option<Duration>,
}

impl Retry {
    /// The delay doubles from `base` with each attempt, and has jitter.
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self { strategy: Some(Strategy::Exponential), base: Some(base), cap: None, for_time: None }
    }

    /// The delay grows by `base` with each attempt.
    #[must_use]
    pub const fn linear(base: Duration) -> Self {
        Self { strategy: Some(Strategy::Linear), base: Some(base), cap: None, for_time: None }
    }

    /// Each delay is the same.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self { strategy: Some(Strategy::Fixed), base: Some(delay), cap: None, for_time: None }
    }

    /// No delay is longer than this.
    #[must_use]
    pub const fn cap(self, cap: Duration) -> Self {
        Self { cap: Some(cap), ..self }
    }

    /// No attempt begins later than this, counted from the start of the first attempt that was spent.
    #[must_use]
    pub const fn for_time(self, time: Duration) -> Self {
        Self { for_time: Some(time), ..self }
    }

    /// The delays of a job with this policy, where its kind or its worker has the delays `other`. A cap that is below the
    /// base of the job belongs to shorter delays: the default cap takes its place.
    #[must_use]
    pub fn backoff(&self, other: Backoff) -> Backoff {
        let base = self.base.unwrap_or(other.base);
        let cap = self.cap.unwrap_or_else(|| match base > other.cap {
            true => Backoff::default().cap.max(base),
            false => other.cap,
        });
        Backoff { strategy: self.strategy.unwrap_or(other.strategy), base, cap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_is_written() {
        let retry = Retry::linear(Duration::from_millis(1500))
            .cap(Duration::from_secs(90))
            .for_time(Duration::from_secs(172_800));
        let text = serde_json::to_string(&retry).expect("JSON");
        assert_eq!(text, r#"{"strategy":"linear","base":"1500ms","cap":"90s","for":"172800s"}"#);
        assert_eq!(serde_json::from_str::<Retry>(&text).expect("a retry"), retry);
        let human: Retry = serde_json::from_str(r#"{"base": "1h30m", "for": "2d"}"#).expect("a retry");
        assert_eq!((human.base, human.for_time), (Some(Duration::from_secs(5400)), Some(Duration::from_secs(172_800))));
        for bad in [r#"{"bsae":"1s"}"#, r#"{"base":"soon"}"#, r#"{"base":1}"#, r#"{"strategy":"quadratic"}"#] {
            assert!(serde_json::from_str::<Retry>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_left_out_is_as_the_kind_says() {
        let seconds = Duration::from_secs;
        let of_kind = Backoff::linear(seconds(5), seconds(60));
        assert_eq!(Retry::default().for_time(seconds(9)).backoff(of_kind), of_kind);
        assert_eq!(Retry::linear(seconds(90)).backoff(of_kind).delay(4, 0.0), seconds(360), "the other cap is too low");
        assert_eq!(Retry::fixed(seconds(90)).backoff(of_kind).delay(4, 0.0), seconds(90));
        assert_eq!(Retry::exponential(seconds(90)).cap(seconds(10)).backoff(of_kind).delay(4, 1.0), seconds(10));
    }
}
