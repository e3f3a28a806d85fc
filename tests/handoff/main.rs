//! The hand-off against a real Redis: what the scripts' own tests cannot show.
//!
//! `in_memory.rs` is the part of this suite that the head of the simulation must pass too.

mod batches;
mod bell;
mod cluster;
mod connect;
mod ends;
mod healing;
mod listener;
mod notices;
mod prefixes;
mod registry;
mod round;
mod snapshot;
mod strays;
mod subject;
mod taker;
mod taker_cut_off;
mod takers;
mod timeouts;
mod words;

use leasehold_handoff::{Handoff, KeyPrefix, Settings};
use leasehold_tests::RedisServer;
use subject::Server;
use words::{HEAD_MAX, LEASE, SOON, TIMEOUT, kind, new_ids, queue};

fn settings(url: &str) -> Settings {
    Settings {
        url: url.into(),
        ca_file: None,
        key_prefix: KeyPrefix::default(),
        head_max: HEAD_MAX,
        max_connections: 8,
        timeout: TIMEOUT,
    }
}

async fn connect(server: &RedisServer) -> Handoff {
    Handoff::connect(&settings(&server.url)).await.expect("a fit Redis")
}
