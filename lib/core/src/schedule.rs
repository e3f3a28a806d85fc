//! What a schedule is, as a client sets it: when it fires, what happens to missed ticks, and the job of each tick.
//!
//! This file does not read cron expressions or compute times: `lib/schedule` does.

use crate::{job::NewJob, limits::MISSED_MAX, names::ScheduleName};
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// When a schedule fires. Not checked: see `leasehold_schedule::Calendar`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Timing {
    /// At the local times of a time zone that match a cron expression.
    Cron {
        /// Five fields, six fields with the seconds first, or a nickname such as `@daily`.
        cron: String,
        /// The name of the zone in the time zone database, such as `Europe/Berlin`.
        timezone: String,
    },
    /// Again and again after the same time.
    Every(Duration),
}

impl Timing {
    /// The cron expression and its time zone.
    #[must_use]
    pub fn cron(&self) -> Option<(&str, &str)> {
        match self {
            Self::Cron { cron, timezone } => Some((cron, timezone)),
            Self::Every(_) => None,
        }
    }

    /// The time from one tick to the next.
    #[must_use]
    pub const fn every(&self) -> Option<Duration> {
        match self {
            Self::Cron { .. } => None,
            Self::Every(every) => Some(*every),
        }
    }
}

/// What happens to ticks whose time passes before a reaper sees them. The last due tick of a schedule is not missed if it is less
/// than [`Missed::LATE_MAX`] late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// They make no job.
    Skip,
    /// All of them together make one job.
    #[default]
    One,
    /// Each of the last ones makes a job, up to this number.
    All(u16),
}

impl Missed {
    /// How late the last due tick of a schedule that skips missed ticks may be: longer than another reaper needs to take over.
    pub const LATE_MAX: Duration = Duration::from_secs(60);

    /// How many of the ticks that are due make a job, at most.
    #[must_use]
    pub const fn limit(self) -> u16 {
        match self {
            Self::Skip => 0,
            Self::One => 1,
            Self::All(count) => count,
        }
    }

    /// The inverse of [`Missed::limit`].
    #[must_use]
    pub const fn of_limit(limit: u16) -> Self {
        match limit {
            0 => Self::Skip,
            1 => Self::One,
            count => Self::All(count),
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::One => f.write_str("one"),
            Self::All(count) => write!(f, "all:{count}"),
        }
    }
}

impl Serialize for Missed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text says nothing about missed ticks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not skip, one or all:N with N from 1 to {MISSED_MAX}")]
pub struct InvalidMissed(String);

impl FromStr for Missed {
    type Err = InvalidMissed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "skip" => return Ok(Self::Skip),
            "one" => return Ok(Self::One),
            _ => {}
        }
        let count = text.strip_prefix("all:").filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
        match count.and_then(|count| count.parse().ok()) {
            Some(count) if (1..=MISSED_MAX).contains(&count) => Ok(Self::of_limit(count)),
            _ => Err(InvalidMissed(text.to_owned())),
        }
    }
}

/// A schedule as a client sets it. A later version may have more fields.
///
/// ```
/// # use leasehold_core::{Missed, NewJob, NewSchedule, Timing};
/// # use std::time::Duration;
/// let job = NewJob::new("report".parse()?, serde_json::value::to_raw_value(&())?);
/// let hourly = NewSchedule::new("hourly-report".parse()?, Timing::Every(Duration::from_secs(3600)), job);
/// assert_eq!(hourly.missed, Missed::One);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct NewSchedule {
    /// The name. Setting a schedule of this name again changes it.
    pub name: ScheduleName,
    /// When it fires.
    pub timing: Timing,
    /// What happens to missed ticks.
    pub missed: Missed,
    /// The job of each tick. Its id, `run_at`, `delay` and `traceparent` are not used: each tick makes a new job that is due
    /// immediately.
    pub job: NewJob,
}

impl NewSchedule {
    /// A schedule whose missed ticks make one job.
    #[must_use]
    pub fn new(name: ScheduleName, timing: Timing, job: NewJob) -> Self {
        Self { name, timing, missed: Missed::default(), job }
    }

    /// What happens to missed ticks [default: [`Missed::One`]].
    #[must_use]
    pub fn missed(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_is_read_as_it_is_written() {
        for missed in [Missed::Skip, Missed::One, Missed::All(2), Missed::All(MISSED_MAX)] {
            assert_eq!(missed.to_string().parse(), Ok(missed));
            assert_eq!(Missed::of_limit(missed.limit()), missed);
        }
        assert_eq!("all:1".parse(), Ok(Missed::One), "all of one is one");
        for bad in ["", "none", "all", "all:", "all:0", "all:501", "all:-1", "all:+1", "all:99999999999", "One"] {
            assert!(bad.parse::<Missed>().is_err(), "{bad}");
        }
    }
}
