//! Runs whose rows are locked by a transaction that stays open.
//!
//! Even a healthy worker cannot renew a lease while its row is locked. The worker tries again at every heartbeat. So a lease
//! that ran out under a lock may be expired only after its worker has had time to renew it without the lock. This file owns
//! this decision. The caller passes the time.

use leasehold_core::JobId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// A worker renews a lease within this number of heartbeats after the lock is released: the heartbeat that may be in flight,
/// and two more.
const BEATS: u32 = 3;

/// How long a run is not expired after the lock on its row is released, for this length of leases. A worker has twelve
/// heartbeats in a lease, and at least one in a second.
pub(crate) fn spared_for(lease: Duration) -> Duration {
    (lease / 12).clamp(Duration::from_millis(10), Duration::from_secs(1)) * BEATS
}

/// When each run was first found free again; `None` while its row is locked.
#[derive(Debug, Default)]
pub(crate) struct Locked(BTreeMap<JobId, Option<Instant>>);

impl Locked {
    /// Notes that a read found exactly these rows locked. Any other row may have been locked until just before the read.
    pub(crate) fn see(&mut self, locked: Vec<JobId>, now: Instant) {
        let locked: BTreeSet<JobId> = locked.into_iter().collect();
        for (_, free_since) in self.0.iter_mut().filter(|(id, _)| !locked.contains(id)) {
            free_since.get_or_insert(now);
        }
        self.0.extend(locked.into_iter().map(|id| (id, None)));
    }

    /// The runs that must not be expired: their rows are locked, or have been free for less than this time.
    pub(crate) fn spared(&mut self, now: Instant, time: Duration) -> Vec<JobId> {
        self.0.retain(|_, free_since| free_since.is_none_or(|since| now.saturating_duration_since(since) < time));
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_spared_for_three_beats_after_it_was_found_free() {
        let (mut locked, id, start) = (Locked::default(), JobId::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let time = spared_for(Duration::from_secs(6));
        assert_eq!(time, Duration::from_millis(1500));
        assert!(locked.spared(at(0), time).is_empty());
        locked.see(vec![id], at(0));
        assert_eq!(locked.spared(at(60_000), time), [id], "no look since then");
        locked.see(vec![], at(60_000));
        locked.see(vec![], at(61_000));
        assert_eq!(locked.spared(at(61_499), time), [id]);
        locked.see(vec![id], at(61_499));
        assert_eq!(locked.spared(at(70_000), time), [id], "locked again");
        locked.see(vec![], at(70_000));
        assert!(locked.spared(at(71_500), time).is_empty());
        assert_eq!(spared_for(Duration::from_secs(600)), Duration::from_secs(3));
    }
}
