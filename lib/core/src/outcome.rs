//! How a run ended, and what to write about it.

use crate::{backoff::Backoff, limits::ERROR_MAX_BYTES, settle::Settle};
use serde_json::value::RawValue;
use std::time::Duration;

/// The ways in which a run can end, from the view of the worker.
///
/// ```
/// # use leasehold_core::Outcome;
/// assert_eq!(Outcome::Failed("the disk is full".to_owned()).as_str(), "failed");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler returned a result.
    Succeeded(Option<Box<RawValue>>),
    /// The handler failed, panicked, or timed out.
    Failed(String),
    /// The handler failed, and says when the job runs again if it has an attempt left. The attempt is spent.
    RetryIn(Duration, String),
    /// The handler wants to run again later. The attempt is not spent.
    Snoozed(Option<Duration>, Option<String>),
    /// The handler says that the job can never succeed.
    Hopeless(String),
    /// The worker stops, and the handler did not finish in time.
    Interrupted,
    /// The worker lacks something that every job needs, such as file descriptors. The text names it for the log.
    Lacking(String),
    /// The handler stopped because of a cancel request.
    Cancelled,
    /// The lease was lost while the handler ran: nothing may be written.
    Lost,
}

/// The attempts and the time that a job has left when an attempt fails.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// The number of this attempt; 1 is the first.
    pub attempt: i32,
    /// How many attempts the job may spend.
    pub max_attempts: i32,
    /// The delays between attempts.
    pub backoff: Backoff,
    /// For how long from now another attempt may begin; `None` means no limit.
    pub time_left: Option<Duration>,
}

impl Tries {
    /// What to write after a failure: another attempt, or the end of the job.
    fn after_failure(&self, error: String, delay: Duration) -> Settle {
        if self.attempt >= self.max_attempts {
            return Settle::Bury { error: clipped(error) };
        }
        if self.time_left.is_some_and(|left| delay > left) {
            return Settle::Bury { error: clipped(format!("{error}{OUT_OF_TIME}")) };
        }
        Settle::Retry { delay, error: clipped(error) }
    }
}

/// The end of the error of a job that has attempts left, but no time for them.
const OUT_OF_TIME: &str = " (it is not tried again: the next attempt would begin after its time for retries)";

impl Outcome {
    /// What became of the run, in one word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) | Self::RetryIn(..) | Self::Hopeless(_) => "failed",
            Self::Snoozed(..) => "snoozed",
            Self::Interrupted | Self::Lacking(_) => "released",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// What to write for this outcome; `None` when nothing may be written.
    ///
    /// `random` is uniform in `0.0..1.0` and gives the retries their jitter.
    #[must_use]
    pub fn settle(self, tries: &Tries, random: f64) -> Option<Settle> {
        Some(match self {
            Self::Succeeded(result) => Settle::Complete(result),
            Self::Failed(error) => tries.after_failure(error, tries.backoff.delay(tries.attempt, random)),
            Self::RetryIn(delay, error) => tries.after_failure(error, delay),
            Self::Snoozed(delay, reason) => Settle::Snooze {
                delay: delay.unwrap_or_else(|| tries.backoff.delay(1, random)),
                reason: reason.map(clipped),
            },
            Self::Hopeless(error) => Settle::Bury { error: clipped(error) },
            Self::Interrupted | Self::Lacking(_) => Settle::Release,
            Self::Cancelled => Settle::Cancel,
            Self::Lost => return None,
        })
    }
}

/// The last [`ERROR_MAX_BYTES`] of a text, without NUL, which PostgreSQL cannot store in a text.
fn clipped(text: String) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    if text.len() > ERROR_MAX_BYTES {
        let from = (text.len() - ERROR_MAX_BYTES..).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.drain(..from);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_retried_until_its_attempts_are_spent() {
        let tries = |attempt| Tries { attempt, max_attempts: 5, backoff: Backoff::default(), time_left: None };
        let failed = || Outcome::Failed("no".into());
        assert!(matches!(failed().settle(&tries(4), 0.5), Some(Settle::Retry { .. })));
        assert!(matches!(failed().settle(&tries(5), 0.5), Some(Settle::Bury { .. })));
        let asked = || Outcome::RetryIn(Duration::from_secs(7), "no".into());
        let Some(Settle::Retry { delay, .. }) = asked().settle(&tries(4), 0.5) else { panic!("an attempt is left") };
        assert_eq!(delay, Duration::from_secs(7));
        assert!(matches!(asked().settle(&tries(5), 0.5), Some(Settle::Bury { .. })));
        assert!(matches!(Outcome::Lacking("files".into()).settle(&tries(5), 0.5), Some(Settle::Release)));
        assert!(Outcome::Lost.settle(&tries(1), 0.5).is_none());
    }

    #[test]
    fn a_failure_without_time_for_its_next_attempt_is_the_last_one() {
        let seconds = Duration::from_secs;
        let tries =
            |left| Tries { attempt: 1, max_attempts: 5, backoff: Backoff::fixed(seconds(10)), time_left: Some(left) };
        let settle = |left| Outcome::Failed("no".into()).settle(&tries(left), 0.5);
        assert!(matches!(settle(seconds(10)), Some(Settle::Retry { .. })));
        let Some(Settle::Bury { error }) = settle(seconds(9)) else { panic!("there is no time for another attempt") };
        assert!(error.starts_with("no (it is not tried again"), "{error}");
    }

    #[test]
    fn error_texts_keep_their_end_and_lose_their_nuls() {
        let long = format!("{}ä\0end", "é".repeat(ERROR_MAX_BYTES));
        let kept = clipped(long);
        assert!(kept.len() <= ERROR_MAX_BYTES && kept.ends_with("ä\u{FFFD}end"));
    }
}
