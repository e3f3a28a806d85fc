//! When a lease that has run out may be called lost.
//!
//! Leases stand in PostgreSQL and run by its clock, also while nobody can reach it to renew them. So
//! after PostgreSQL was away nothing is expired for one lease: the workers come back first. This
//! file owns that decision and nothing else; it has no clock of its own.

use std::time::Duration;
use tokio::time::Instant;

/// What this reaper has seen of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Sight {
    lease: Duration,
    last_seen: Option<Instant>,
    away: bool,
    quiet_until: Option<Instant>,
}

impl Sight {
    pub(crate) const fn new(lease: Duration) -> Self {
        Self { lease, last_seen: None, away: false, quiet_until: None }
    }

    /// PostgreSQL did not answer.
    pub(crate) const fn missed(&mut self) {
        self.away = true;
    }

    /// PostgreSQL answered, and has been up for `uptime`.
    ///
    /// A reaper that has just started needs no wait: the leases it finds are by the database's clock.
    /// A server that has just started does, whoever looks. That wait delays no lease claimed since the
    /// start, because none of them can have run out before it is over.
    pub(crate) fn seen(&mut self, now: Instant, uptime: Duration) {
        // A reaper that did not look for a lease (frozen, or a call that hung) does not know what was.
        let looked_away = self.last_seen.is_some_and(|last| now.saturating_duration_since(last) >= self.lease);
        if self.away || looked_away {
            self.stay_quiet_until(now + self.lease);
        }
        if uptime < self.lease {
            self.stay_quiet_until(now + (self.lease - uptime));
        }
        self.last_seen = Some(now);
        self.away = false;
    }

    /// Whether PostgreSQL did not answer last time.
    pub(crate) const fn is_away(&self) -> bool {
        self.away
    }

    /// Whether leases that have run out may be expired now.
    pub(crate) fn may_expire(&self, now: Instant) -> bool {
        !self.away && self.quiet_until.is_none_or(|until| now >= until)
    }

    fn stay_quiet_until(&mut self, until: Instant) {
        self.quiet_until = Some(self.quiet_until.map_or(until, |set| set.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const LONG: Duration = Duration::from_secs(3600);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reaper_that_has_just_started_expires_at_once() {
        let (start, mut sight) = (Instant::now(), Sight::new(LEASE));
        sight.seen(start, LONG);
        assert!(sight.may_expire(start));
    }

    #[test]
    fn after_an_outage_nothing_expires_for_one_lease() {
        let (start, mut sight) = (Instant::now(), Sight::new(LEASE));
        sight.seen(start, LONG);
        sight.missed();
        assert!(!sight.may_expire(at(start, 1)));
        sight.seen(at(start, 2), LONG);
        sight.seen(at(start, 3), LONG);
        assert!(!sight.may_expire(at(start, 31)));
        assert!(sight.may_expire(at(start, 32)));
    }

    #[test]
    fn a_server_that_has_just_started_is_given_what_is_missing_of_a_lease() {
        let (start, mut sight) = (Instant::now(), Sight::new(LEASE));
        sight.seen(start, Duration::from_secs(20));
        assert!(!sight.may_expire(at(start, 9)));
        assert!(sight.may_expire(at(start, 10)));
    }

    #[test]
    fn a_reaper_that_was_frozen_for_a_lease_waits_too() {
        let (start, mut sight) = (Instant::now(), Sight::new(LEASE));
        sight.seen(start, LONG);
        sight.seen(at(start, 30), LONG);
        assert!(!sight.may_expire(at(start, 59)));
        assert!(sight.may_expire(at(start, 60)));
    }
}
