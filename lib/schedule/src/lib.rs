//! When a schedule fires: cron expressions in time zones, intervals, and the ticks that were missed during an outage.
//!
//! This crate has no clock and no store. The caller passes the time of the database.
//!
//! The crate `croner` reads cron expressions and searches for times. A schedule at certain times of the day fires at the end
//! of the gap if the clock is put forward over such a time, and once if the clock is put back over it. A schedule that runs all
//! the time, such as `*/30 * * * *`, fires at each local time that exists. `tests/` compares all of this with a second
//! implementation.

mod calendar;
mod due;
mod error;

pub use calendar::Calendar;
pub use due::Due;
pub use error::InvalidTiming;
