//! The crate for Rust programs: typed jobs end to end, the caller's own transaction, and unavailable stores.

mod encryption;
mod enqueue;
mod following;
mod house;
mod outage;
mod testing;
mod typed;
mod waiting;
