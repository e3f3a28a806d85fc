//! How a worker behaves.

use leasehold_core::{Backoff, HANDOFF_LEASE, QueueName};
use std::time::Duration;

/// How a worker behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The queues that the worker serves, each with its slots: how many jobs of this queue run at the same time.
    pub queues: Vec<(QueueName, u32)>,
    /// How long a claim is valid without a renewal.
    pub lease: Duration,
    /// How long handlers may continue after a stop was requested.
    pub grace: Duration,
    /// The delays between the attempts of a failing job.
    pub backoff: Backoff,
}

impl Settings {
    /// The lease that a hint gets in Redis when it is taken. The lease is long enough for a claim in PostgreSQL on a
    /// busy day, and short enough that other workers soon take the hints of a worker that died at this moment. The
    /// heartbeat makes it a full lease.
    pub(crate) fn handoff_lease(&self) -> Duration {
        HANDOFF_LEASE.min(self.lease)
    }
}
