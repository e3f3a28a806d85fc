//! Decides when the reaper may expire leases that have run out.
//!
//! Leases are in PostgreSQL and run out by its clock, even while no worker can reach PostgreSQL to renew them. So after an
//! outage, the reaper expires nothing for the time of one lease: workers renew their leases first. A reaper that has just
//! started does not know whether there was an outage. It reads in PostgreSQL when a reaper last recorded that leases may
//! expire. This file owns only the decision. The caller passes the time.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How many leases may be expired now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    None,
    /// One lease, as a test whether PostgreSQL can write again.
    One,
    All,
}

/// The availability of PostgreSQL as this reaper has seen it.
#[derive(Debug)]
pub(crate) struct ExpiryGuard {
    lease: Duration,
    last_seen: Option<Instant>,
    away: bool,
    quiet_until: Option<Instant>,
    said_at: Option<Instant>,
    /// PostgreSQL failed to expire leases, and no write has succeeded since.
    cannot_write: bool,
    /// When this reaper last read the leases.
    looked_at: Option<Instant>,
    /// The reads of the last lease that waited, each with its end and with how long it waited.
    waits: VecDeque<(Instant, Duration)>,
}

impl ExpiryGuard {
    pub(crate) const fn new(lease: Duration) -> Self {
        Self {
            lease,
            last_seen: None,
            away: false,
            quiet_until: None,
            said_at: None,
            cannot_write: false,
            looked_at: None,
            waits: VecDeque::new(),
        }
    }

    /// PostgreSQL did not answer.
    pub(crate) const fn missed(&mut self) {
        self.away = true;
    }

    /// Workers could not renew their leases until now.
    pub(crate) fn held_up(&mut self, now: Instant) {
        self.stay_quiet_until(now + self.lease);
    }

    /// A read of the leases was slow, perhaps because of a lock on the whole table. The lock also blocked workers that wanted to renew
    /// their leases. A worker tries to renew a lease during the last two thirds of its time, so waits that together took less than
    /// one third of a lease have let it through. If they counted too, a busy server whose statements are slow once in each lease
    /// would keep the jobs of dead workers for ever.
    pub(crate) fn waited(&mut self, now: Instant, waited: Duration) {
        self.waits.retain(|(at, _)| now.saturating_duration_since(*at) < self.lease);
        self.waits.push_back((now, waited));
        self.looked(now);
        if self.waits.iter().map(|(_, waited)| *waited).sum::<Duration>() >= self.lease / 3 {
            self.held_up(now);
        }
    }

    /// PostgreSQL answered with an error, because its disk is full, because it is read-only, or for another reason. Workers
    /// cannot renew their leases either, so this counts as an outage.
    pub(crate) fn cannot_write(&mut self, now: Instant) {
        self.cannot_write = true;
        self.held_up(now);
    }

    /// PostgreSQL expired one lease, or no lease had run out. If the statement expired a lease, workers had no time to renew
    /// their other leases: they get the time of one lease from now on.
    pub(crate) fn can_write(&mut self, now: Instant, has_expired: bool) {
        self.cannot_write = false;
        if has_expired {
            self.held_up(now);
        }
    }

    /// How many leases that have run out may be expired now.
    pub(crate) fn permit(&self, now: Instant) -> Permit {
        match (self.may_expire(now), self.cannot_write) {
            (false, _) => Permit::None,
            (true, true) => Permit::One,
            (true, false) => Permit::All,
        }
    }

    /// A read of the leases has ended.
    pub(crate) const fn looked(&mut self, now: Instant) {
        self.looked_at = Some(now);
    }

    /// Call this before a read. If the last read was half a lease ago, something has blocked this reaper, perhaps a lock on the
    /// table that is released now. Half a lease is short enough: a worker renews a lease after a third of its time, so a lease
    /// of a living worker cannot run out in less than half a lease.
    pub(crate) fn about_to_look(&mut self, now: Instant) {
        if self.looked_at.is_some_and(|looked| now.saturating_duration_since(looked) >= self.lease / 2) {
            self.held_up(now);
        }
    }

    /// PostgreSQL answered and has been up for `uptime`. `watched_ago` is the time since a reaper recorded that leases may
    /// expire.
    ///
    /// If `watched_ago` is short, a reaper that has just started need not wait: any outage since then was too short for a
    /// worker to lose a lease. Otherwise the reaper waits for one lease. The wait delays no lease that is claimed after the
    /// start, because such a lease cannot run out before the wait ends. The same is true for a server that has just started.
    pub(crate) fn seen(&mut self, now: Instant, uptime: Duration, watched_ago: Option<Duration>) {
        let is_watched = watched_ago.is_some_and(|ago| ago < self.lease / 2);
        if self.last_seen.is_none() && !is_watched {
            self.stay_quiet_until(now + self.lease);
        }
        // A reaper that was frozen, or waited for a call, for a whole lease cannot know of an outage in this time.
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

    /// Whether it is time to record in PostgreSQL that leases may expire. A reaper that waits records nothing, so that a
    /// reaper that starts now waits too.
    pub(crate) fn has_to_say(&mut self, now: Instant) -> bool {
        let is_due = self.said_at.is_none_or(|said| now.saturating_duration_since(said) >= self.lease / 10);
        let says = is_due && self.permit(now) == Permit::All;
        if says {
            self.said_at = Some(now);
        }
        says
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
    const JUST_NOW: Option<Duration> = Some(Duration::from_secs(3));

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reaper_that_has_just_started_expires_at_once_if_another_one_did_until_now() {
        let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        expiry_guard.seen(start, LONG, JUST_NOW);
        assert!(expiry_guard.may_expire(start));
    }

    #[test]
    fn one_that_cannot_know_of_an_outage_waits_for_one_lease() {
        for watched_ago in [None, Some(LEASE / 2)] {
            let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
            expiry_guard.seen(start, LONG, watched_ago);
            expiry_guard.seen(at(start, 29), LONG, watched_ago);
            assert!(!expiry_guard.may_expire(at(start, 29)) && !expiry_guard.has_to_say(at(start, 29)));
            expiry_guard.seen(at(start, 30), LONG, watched_ago);
            assert!(expiry_guard.may_expire(at(start, 30)) && expiry_guard.has_to_say(at(start, 30)));
            assert!(
                !expiry_guard.has_to_say(at(start, 32)) && expiry_guard.has_to_say(at(start, 33)),
                "a tenth of a lease later"
            );
        }
    }

    #[test]
    fn after_it_was_held_up_nothing_expires_for_one_lease() {
        let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        expiry_guard.seen(start, LONG, JUST_NOW);
        expiry_guard.held_up(at(start, 5));
        assert!(!expiry_guard.may_expire(at(start, 34)) && expiry_guard.may_expire(at(start, 35)));
        expiry_guard.looked(at(start, 35));
        expiry_guard.about_to_look(at(start, 49));
        assert!(expiry_guard.may_expire(at(start, 49)));
        expiry_guard.about_to_look(at(start, 50));
        assert!(
            !expiry_guard.may_expire(at(start, 79)) && expiry_guard.may_expire(at(start, 80)),
            "the last look was half a lease ago"
        );
    }

    #[test]
    fn slow_reads_count_only_if_they_took_a_third_of_a_lease_together() {
        let (start, mut guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        guard.seen(start, LONG, JUST_NOW);
        for seconds in (10..300).step_by(10) {
            guard.waited(at(start, seconds), Duration::from_secs(2));
            assert!(guard.may_expire(at(start, seconds)), "after {seconds} s");
        }
        for seconds in 300..303 {
            guard.waited(at(start, seconds), Duration::from_secs(2));
        }
        assert!(!guard.may_expire(at(start, 331)) && guard.may_expire(at(start, 332)));
    }

    #[test]
    fn after_an_outage_nothing_expires_for_one_lease() {
        let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        expiry_guard.seen(start, LONG, JUST_NOW);
        expiry_guard.missed();
        assert!(!expiry_guard.may_expire(at(start, 1)));
        expiry_guard.seen(at(start, 2), LONG, JUST_NOW);
        expiry_guard.seen(at(start, 3), LONG, JUST_NOW);
        assert!(!expiry_guard.may_expire(at(start, 31)));
        assert!(expiry_guard.may_expire(at(start, 32)));
    }

    #[test]
    fn after_a_failed_write_one_lease_is_tried_and_the_others_get_one_lease_more() {
        let (start, mut guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        guard.seen(start, LONG, JUST_NOW);
        guard.cannot_write(start);
        assert_eq!(guard.permit(at(start, 29)), Permit::None);
        assert!(guard.permit(at(start, 30)) == Permit::One && !guard.has_to_say(at(start, 30)));
        guard.can_write(at(start, 31), true);
        assert_eq!((guard.permit(at(start, 60)), guard.permit(at(start, 61))), (Permit::None, Permit::All));
        guard.cannot_write(at(start, 70));
        guard.can_write(at(start, 100), false);
        assert_eq!(guard.permit(at(start, 100)), Permit::All, "no lease had run out");
    }

    #[test]
    fn a_server_that_has_just_started_is_given_what_is_missing_of_a_lease() {
        let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        expiry_guard.seen(start, Duration::from_secs(20), JUST_NOW);
        assert!(!expiry_guard.may_expire(at(start, 9)));
        assert!(expiry_guard.may_expire(at(start, 10)));
    }

    #[test]
    fn a_reaper_that_was_frozen_for_a_lease_waits_too() {
        let (start, mut expiry_guard) = (Instant::now(), ExpiryGuard::new(LEASE));
        expiry_guard.seen(start, LONG, JUST_NOW);
        expiry_guard.seen(at(start, 30), LONG, JUST_NOW);
        assert!(!expiry_guard.may_expire(at(start, 59)));
        assert!(expiry_guard.may_expire(at(start, 60)));
    }
}
