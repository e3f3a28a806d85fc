//! How a worker behaves.

use leasehold_core::{Backoff, HANDOFF_LEASE, QueueName};
use std::time::Duration;

/// How a worker behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The queues it serves, each with its slots: how many jobs of it run at once.
    pub queues: Vec<(QueueName, u32)>,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long handlers may go on after a stop is asked for.
    pub grace: Duration,
    /// How failed jobs are spread.
    pub backoff: Backoff,
}

impl Settings {
    /// The lease that a hint gets in Redis when it is taken: long enough for a claim in PostgreSQL on a busy day, short
    /// enough that the hints of a worker that died right then are soon taken by another. The heartbeat makes it a full one.
    pub(crate) fn handoff_lease(&self) -> Duration {
        HANDOFF_LEASE.min(self.lease)
    }
}
