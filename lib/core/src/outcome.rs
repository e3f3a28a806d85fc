//! How a run ended, and what to write about it.

use crate::{backoff::Backoff, limits::ERROR_MAX_BYTES, settle::Settle};
use serde_json::value::RawValue;
use std::time::Duration;

/// The closed set of ways in which a run can end, from the view of the worker.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The handler returned a result.
    Succeeded(Option<Box<RawValue>>),
    /// The handler failed, panicked, or timed out.
    Failed(String),
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

impl Outcome {
    /// What to write for this outcome; `None` when nothing may be written.
    ///
    /// `random` is uniform in `0.0..1.0` and gives the retries their jitter.
    #[must_use]
    pub fn settle(self, attempt: i32, max_attempts: i32, backoff: &Backoff, random: f64) -> Option<Settle> {
        Some(match self {
            Self::Succeeded(result) => Settle::Complete(result),
            Self::Failed(error) if attempt >= max_attempts => Settle::Bury { error: clipped(error) },
            Self::Failed(error) => Settle::Retry { delay: backoff.delay(attempt, random), error: clipped(error) },
            Self::Snoozed(delay, reason) => {
                Settle::Snooze { delay: delay.unwrap_or_else(|| backoff.delay(1, random)), reason: reason.map(clipped) }
            }
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
        let backoff = Backoff::default();
        let failed = || Outcome::Failed("no".into());
        assert!(matches!(failed().settle(4, 5, &backoff, 0.5), Some(Settle::Retry { .. })));
        assert!(matches!(failed().settle(5, 5, &backoff, 0.5), Some(Settle::Bury { .. })));
        assert!(matches!(Outcome::Lacking("files".into()).settle(5, 5, &backoff, 0.5), Some(Settle::Release)));
        assert!(Outcome::Lost.settle(1, 5, &backoff, 0.5).is_none());
    }

    #[test]
    fn error_texts_keep_their_end_and_lose_their_nuls() {
        let long = format!("{}ä\0end", "é".repeat(ERROR_MAX_BYTES));
        let kept = clipped(long);
        assert!(kept.len() <= ERROR_MAX_BYTES && kept.ends_with("ä\u{FFFD}end"));
    }
}
