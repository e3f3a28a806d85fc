//! The clock of both stores: the time of tokio, so that a test can stop it and move it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::time::Instant;

/// A clock that starts at the same time in every run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_date: DateTime<Utc>,
}

/// The start: 2026-01-01, in seconds since 1970. Any other time would do.
const START_S: i64 = 1_767_225_600;

impl Clock {
    /// Starts now, at a date that is the same in every run.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(DateTime::from_timestamp(START_S, 0).unwrap_or_default())
    }

    /// Starts now, at this date, rounded down to microseconds.
    #[must_use]
    pub fn start_at(start_date: DateTime<Utc>) -> Self {
        Self { start: Instant::now(), start_date: start_date.trunc_subsecs(6) }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The time as a date, in whole microseconds, as PostgreSQL stores times.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let us = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.start_date + TimeDelta::microseconds(us)
    }
}
