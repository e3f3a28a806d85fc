//! When a schedule fires: cron expressions in time zones, intervals, and what an outage leaves to be made up for.
//!
//! Pure: no clock, no store. The caller passes the time of the database.
//!
//! The crate `croner` reads cron expressions and searches for times. A local time that a change of the clock skips is made up
//! for when the clock has changed. A local time that happens twice counts once for a schedule at certain times of the day, and twice for a
//! schedule that runs all the time, such as `*/30 * * * *`. `tests/` compares all that with a second implementation.

mod calendar;
mod due;
mod error;

pub use calendar::Calendar;
pub use due::Due;
pub use error::InvalidTiming;
