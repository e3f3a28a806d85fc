//! The hand-off against a real Redis: what the scripts' own tests cannot show.

#[path = "../lua/redis_server.rs"]
mod redis_server;
mod round;

use leasehold_core::{JobId, QueueName};
use leasehold_handoff::{Handoff, Settings};
use redis_server::RedisServer;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(60);

fn settings(server: &RedisServer) -> Settings {
    Settings { url: server.url().into(), head_max: 16, max_connections: 8, timeout: TIMEOUT }
}

async fn connect(server: &RedisServer) -> Handoff {
    Handoff::connect(&settings(server)).await.expect("a fit Redis")
}

fn queue() -> QueueName {
    QueueName::default()
}

fn new_ids(count: usize) -> Vec<JobId> {
    (0..count).map(|_| JobId::new()).collect()
}
