//! Runs whose rows somebody else holds locked, in a transaction that stays open.
//!
//! A worker cannot renew a lease whose row is locked, however well it is: it tries again at every beat. So a lease that ran
//! out under a lock may be expired only when its worker has had time to renew it after the lock was gone. This file owns that
//! decision; it has no clock of its own.

use leasehold_core::JobId;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Beats of a worker within which it renews a lease after the lock is gone: the one that may be under way, and two more.
const BEATS: u32 = 3;

/// How long after a lock was seen its row is spared, with leases of this length. A worker beats twelve times a lease, and at
/// least once a second.
pub(crate) fn spared_for(lease: Duration) -> Duration {
    (lease / 12).clamp(Duration::from_millis(10), Duration::from_secs(1)) * BEATS
}

/// When each was last seen locked.
#[derive(Debug, Default)]
pub(crate) struct Locked(BTreeMap<JobId, Instant>);

impl Locked {
    /// Those were locked just now.
    pub(crate) fn see(&mut self, ids: Vec<JobId>, now: Instant) {
        self.0.extend(ids.into_iter().map(|id| (id, now)));
    }

    /// Those that are not to be expired: they were seen locked less than this long ago.
    pub(crate) fn spared(&mut self, now: Instant, time: Duration) -> Vec<JobId> {
        self.0.retain(|_, seen| now.saturating_duration_since(*seen) < time);
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_spared_for_three_beats_after_its_lock_was_seen_last() {
        let (mut locked, id, start) = (Locked::default(), JobId::new(), Instant::now());
        let time = spared_for(Duration::from_secs(6));
        assert_eq!(time, Duration::from_millis(1500));
        assert!(locked.spared(start, time).is_empty());
        locked.see(vec![id], start);
        locked.see(vec![id], start + Duration::from_secs(1));
        assert_eq!(locked.spared(start + Duration::from_millis(2499), time), [id]);
        assert!(locked.spared(start + Duration::from_millis(2500), time).is_empty());
        assert_eq!(spared_for(Duration::from_secs(600)), Duration::from_secs(3));
    }
}
