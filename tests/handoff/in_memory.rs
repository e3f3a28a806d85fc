//! The suite of the hand-off on the head that simulations hold in memory, so that it cannot drift from Redis: the same
//! files. Left out is what only a server has: connections that stand still or are cut (`taker_cut_off`, `listener`,
//! `timeouts`, `connect`), scripts that are forgotten (`healing`), batches beyond what Lua takes in one call (`batches`),
//! clusters, and members that are no ids (`strays`).

mod bell;
mod ends;
mod notices;
mod registry;
mod round;
mod snapshot;
#[path = "subject_in_memory.rs"]
mod subject;
mod taker;
mod takers;
mod words;

use subject::{Handoff, Server, connect};
use words::{HEAD_MAX, LEASE, SOON, TIMEOUT, kind, new_ids, queue};
