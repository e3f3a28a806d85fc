//! The hand-off against a real Redis: what the scripts' own tests cannot show.

mod batches;
mod claimers;
mod cluster;
mod connect;
mod healing;
mod notices;
mod registry;
mod round;
mod snapshot;
mod taker;
mod timeouts;

use leasehold_core::{JobId, Kind, QueueName};
use leasehold_handoff::{Handoff, Settings};
use leasehold_tests::RedisServer;
use std::time::Duration;

/// How long a command may take in these tests.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What is waited for comes at once, except on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);
/// Does not run out within a test.
const LEASE: Duration = Duration::from_secs(600);
const HEAD_MAX: u32 = 16;

fn settings(url: &str) -> Settings {
    Settings { url: url.into(), head_max: HEAD_MAX, max_connections: 8, timeout: TIMEOUT }
}

async fn connect(server: &RedisServer) -> Handoff {
    Handoff::connect(&settings(&server.url)).await.expect("a fit Redis")
}

fn queue() -> QueueName {
    QueueName::default()
}

fn kind(name: &str) -> Kind {
    name.parse().expect("a name")
}

fn new_ids(count: usize) -> Vec<JobId> {
    (0..count).map(|_| JobId::new()).collect()
}
