//! The settings of a reaper.

use std::time::Duration;

/// The settings of a reaper.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time between two ticks.
    pub tick: Duration,
    /// The most hints in the head of one queue.
    pub head_max: u32,
    /// The lease in Redis for a hand-off, and for a hint in `claimed` that has no lease.
    pub handoff_lease: Duration,
    /// The lease of the fleet. For this time after an outage of PostgreSQL, the reaper expires nothing.
    pub lease: Duration,
    /// How long finished jobs are kept.
    pub keep_finished: Duration,
}
