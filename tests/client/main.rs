//! The crate for Rust programs: typed jobs end to end, the caller's own transaction, and stores that are away.

mod enqueue;
mod house;
mod outage;
mod typed;
