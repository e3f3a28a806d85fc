//! Both stores in memory, for simulations and unit tests: the same verbs with the same answers as PostgreSQL and Redis, in
//! virtual time. Every call goes through a [`Link`], on which things go wrong.
//!
//! They are no second implementation to be trusted. Every transition of a job is [`Lifecycle::apply`], what Redis does is
//! written after the scripts in `lua/` and compared with them in every case of `tests/lua`, and both pass the conformance
//! suites of the real ones (`tests/store`, `tests/handoff`), so that they cannot drift.
//!
//! What they do not have: locks that are held over time (each verb is one step here), plans, CHECK constraints, SQL
//! functions, connections and pools; in Redis, members that are no ids.
//!
//! [`Lifecycle::apply`]: leasehold_core::Lifecycle::apply

mod authority;
mod broken;
mod claims;
mod clients;
mod clock;
mod ends;
mod error;
mod head;
mod journal;
mod keys;
mod link;
mod reading;
mod rows;
mod scripts;
mod taker;
mod upkeep;

pub use authority::MemoryStore;
pub use broken::Broken;
pub use clock::Clock;
pub use head::MemoryHead;
pub use journal::{Change, Entry};
pub use keys::{Keys, QueueKeys};
pub use link::{Direct, Link, Lost};
pub use rows::{Row, Rows};
pub use scripts::Mode;
pub use taker::MemoryTaker;
