//! One file per command.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod each;
pub(crate) mod encryption;
pub(crate) mod enqueue;
pub(crate) mod graph;
pub(crate) mod job;
pub(crate) mod limit;
pub(crate) mod migrate;
pub(crate) mod queue;
pub(crate) mod reaper;
pub(crate) mod schedule;
pub(crate) mod served;
pub(crate) mod stats;
pub(crate) mod token;
pub(crate) mod watch;
pub(crate) mod webhook;
pub(crate) mod worker;
