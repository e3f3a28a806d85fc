//! Settings of a fast reaper, so that tests do not wait.

use leasehold_reaper::Settings;
use std::time::Duration;

/// Ticks often. Gives unleased hints a lease of half a second.
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
