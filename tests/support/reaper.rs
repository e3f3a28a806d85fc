//! A reaper that does not keep a test waiting.

use leasehold_reaper::Settings;
use std::time::Duration;

/// Ticks often, and gives hints that nobody leased half a second.
#[must_use]
pub fn quick_reaper() -> Settings {
    Settings {
        tick: Duration::from_millis(50),
        head_max: 64,
        handoff_lease: Duration::from_millis(500),
        lease: Duration::from_secs(1),
        keep_finished: Duration::from_secs(7 * 24 * 3600),
    }
}
