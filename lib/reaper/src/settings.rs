//! How a reaper behaves.

use std::time::Duration;

/// How a reaper behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two ticks.
    pub tick: Duration,
    /// The most hints in the head of one queue.
    pub head_max: u32,
    /// The lease given to a hint that lies in `claimed` without one, and the one a hand-off gets.
    pub handoff_lease: Duration,
    /// The lease of the fleet: how long nothing is expired after an outage of PostgreSQL.
    pub lease: Duration,
    /// How long finished jobs are kept.
    pub keep_finished: Duration,
}
