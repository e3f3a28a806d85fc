//! Why a timing is not valid for a schedule.

use leasehold_core::{CRON_MAX_BYTES, EVERY_MAX, EVERY_MIN};
use std::time::Duration;

/// What is wrong with a timing, as one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTiming {
    /// The cron expression cannot be read.
    #[error("cron {cron:?}: {problem}")]
    Cron {
        /// The expression.
        cron: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The cron expression is too long.
    #[error("cron is {0} bytes long; at most {CRON_MAX_BYTES} are allowed")]
    CronTooLong(usize),
    /// No date matches the cron expression.
    #[error("cron {0:?} never fires: no date matches it")]
    Never(String),
    /// The time zone does not exist.
    #[error("timezone {0:?} is not in the time zone database; write a name such as UTC or Europe/Berlin")]
    Timezone(String),
    /// The interval is too short or too long.
    #[error(
        "every is {} ms; it must be from {} s to {} days",
        .0.as_millis(), EVERY_MIN.as_secs(), EVERY_MAX.as_secs() / 86_400
    )]
    Every(Duration),
}
