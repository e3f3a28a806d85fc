//! Both stores in memory, for the simulation and for unit tests of programs (`leasehold::testing`): the same verbs with the
//! same answers as PostgreSQL and Redis, in virtual time. Every call goes through a [`Link`], which injects faults.
//!
//! So there is no second implementation of the rules that could differ. Every transition of a job is [`Lifecycle::apply`].
//! The verbs of Redis follow the scripts in `lua/`, and every case of `tests/lua` compares both. Both stores pass the
//! conformance suites of the real stores (`tests/store`, `tests/handoff`), so they cannot drift.
//!
//! The stores in memory lack: locks that are held for a time (each verb is one step here), plans, CHECK constraints,
//! SQL functions, connections and pools; in Redis, members that are not ids.
//!
//! [`Lifecycle::apply`]: leasehold_core::Lifecycle::apply

mod authority;
mod broken;
mod claims;
mod clients;
mod clock;
mod commands;
mod ends;
mod filling;
mod graphs;
mod head;
mod head_repairs;
mod journal;
mod keys;
mod limits;
mod link;
mod loads;
mod reading;
mod rows;
mod schedules;
mod scripts;
mod taker;
mod upkeep;

pub use authority::MemoryStore;
pub use broken::Broken;
pub use clock::Clock;
pub use head::MemoryHead;
pub use journal::{Change, Entry};
pub use keys::{Keys, NOWHERE, QueueKeys, Readings, Score};
pub use limits::{KeyLimit, Limits};
pub use link::{Direct, Link, Lost};
pub use rows::{Row, Rows};
pub use schedules::ScheduleRow;
pub use scripts::{Mode, Positioned, position_of};
pub use taker::MemoryTaker;
