//! How many slots queues could use now: the scaling signal.
//!
//! [`Facts`] are what both stores say, `asked` decides which jobs count, and `Facts::demand` is pure.

mod ask;
mod facts;
mod gauges;
