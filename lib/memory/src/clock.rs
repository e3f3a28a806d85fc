//! The clock of both stores in memory. A simulation moves it with the time of tokio, a unit test by hand.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A clock. All clones are one clock.
#[derive(Clone, Debug)]
pub struct Clock {
    start_date: DateTime<Utc>,
    /// The start in the time of tokio, in which the clock runs. `None`: the clock does not run.
    start: Option<Instant>,
    /// How far the clock has been moved by hand.
    advanced_us: Arc<AtomicI64>,
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
        Self { start: Some(Instant::now()), ..Self::standing_at(start_date) }
    }

    /// Stands still at this date, rounded down to microseconds. Only [`Clock::advance`] moves the clock.
    #[must_use]
    pub fn standing_at(start_date: DateTime<Utc>) -> Self {
        Self { start_date: start_date.trunc_subsecs(6), start: None, advanced_us: Arc::default() }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let _ = self.advanced_us.fetch_update(Relaxed, Relaxed, |us| Some(us.saturating_add(by)));
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(&self) -> i64 {
        self.us() / 1000
    }

    /// The time as a date, in whole microseconds, as PostgreSQL stores times.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::microseconds(self.us());
        self.start_date.checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn us(&self) -> i64 {
        let passed = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        passed.saturating_add(self.advanced_us.load(Relaxed))
    }
}
