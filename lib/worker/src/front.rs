//! Draws conclusions from the last claims about the hints at the front of the head, and decides how many hints the next claim
//! should take.
//!
//! The loop of a worker's queue and the lane of HTTP workers in `lib/api` decide by these rules. This file has no store and no
//! clock.

use crate::jitter::{Jitter, Waits};
use leasehold_core::BATCH_MAX;
use std::time::Duration;

/// The first and the longest pause between two searches for jobs of served kinds while jobs of other kinds block the
/// head. So such a job begins within a second, no matter which jobs are before it.
const CROWD_PAUSE_MS: (u64, u64) = (50, 400);
/// The number of hints that show whether jobs of other kinds still block the head.
const CROWD_TRIAL: usize = 16;
/// Claims in a row that start nothing before the claimer slows down. Such claims are useful (each one sorts out as many
/// hints as there are free slots), but the claimer must not spin if another process puts the same hints back again and
/// again.
const FRUITLESS_IN_A_ROW: u32 = 32;
/// The pause of a claimer that would spin.
const FRUITLESS_PAUSE: Duration = Duration::from_millis(10);
/// After this many claims without a start, many hints are tried together. An operator may have cancelled thousands of jobs in
/// one call, and a worker with one slot must not remove their hints one by one.
const FRUITLESS_ALONE: u32 = 2;
/// How many hints are tried together at first. The number doubles while such a try does not fill the slots. A worker that took
/// hundreds of hints because of one locked job would keep them from other workers, in an order that may be outdated.
const TOGETHER_AT_FIRST: usize = 16;

/// Whether jobs of kinds that this worker does not serve are before the jobs of its own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crowd {
    /// No such jobs are known.
    No,
    /// Most of the hints at the front of the head were of other kinds, and more of them wait behind. Jobs of this
    /// worker's kinds may be far behind. The worker claims them from the line, where an index finds them.
    Ahead,
    /// Jobs of other kinds blocked the head a moment ago. A few hints show whether they still do; the rest is left to
    /// other workers.
    Perhaps,
}

/// The front of a head, as a claimer of some kinds knows it.
#[derive(Debug)]
pub struct Front {
    crowd: Crowd,
    /// The pause between two searches for jobs of served kinds behind such hints.
    crowd_waits: Waits,
    /// Most of the last hints could not be claimed. There may be thousands of such hints, so many hints are tried together.
    is_blocked: bool,
    /// Claims in a row that started nothing.
    fruitless: u32,
    /// How many hints were tried together in the last claim of this sort.
    together: usize,
}

/// The end of a claim by hints.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Jobs that were started.
    pub started: usize,
    /// Refused hints of kinds that the claimer does not serve.
    pub foreign: usize,
    /// Refused hints of served kinds whose jobs wait in the line.
    pub parked: usize,
    /// There may be more hints behind these, and the claimer can name its kinds.
    pub may_be_crowded: bool,
}

impl Front {
    /// Nothing is known.
    #[expect(clippy::new_without_default, reason = "nothing is known: this is no usual value")]
    pub const fn new() -> Self {
        let (first, longest) = CROWD_PAUSE_MS;
        Self { crowd: Crowd::No, crowd_waits: Waits::new(first, longest), is_blocked: false, fruitless: 0, together: 0 }
    }

    /// Jobs of other kinds block the head: served kinds are claimed from the line.
    pub fn is_crowded(&self) -> bool {
        self.crowd == Crowd::Ahead
    }

    /// No jobs of other kinds are known to block the head.
    pub fn is_clear(&self) -> bool {
        self.crowd == Crowd::No
    }

    /// Whether the last hints could not be claimed, so that perhaps the next hints cannot be claimed either.
    pub const fn tries_many(&self) -> bool {
        self.is_blocked || self.fruitless >= FRUITLESS_ALONE
    }

    /// How many hints to take for this many free slots.
    pub fn hints_for(&mut self, free: usize) -> usize {
        match self.crowd {
            Crowd::No if self.tries_many() => {
                self.together = (2 * self.together).clamp(TOGETHER_AT_FIRST, BATCH_MAX);
                free.max(self.together)
            }
            Crowd::No => free,
            Crowd::Ahead | Crowd::Perhaps => free.min(CROWD_TRIAL),
        }
    }

    /// The hints of a claim were tried.
    pub fn tried(&mut self, tried: Tried) {
        let is_crowded = tried.may_be_crowded && tried.foreign > tried.started;
        self.crowd = if is_crowded { Crowd::Ahead } else { Crowd::No };
        self.is_blocked = tried.parked > tried.started;
        self.fruitless = if tried.started > 0 { 0 } else { self.fruitless.saturating_add(1) };
        if !self.tries_many() {
            self.together = 0;
        }
    }

    /// The claimer would spin: it pauses for this time.
    pub fn rest(&self) -> Option<Duration> {
        (self.fruitless > FRUITLESS_IN_A_ROW).then_some(FRUITLESS_PAUSE)
    }

    /// Hints that were tried together filled all slots.
    pub const fn filled(&mut self) {
        self.is_blocked = false;
        self.fruitless = 0;
        self.together = 0;
    }

    /// The head had no hints to try together.
    pub const fn ran_out(&mut self) {
        self.is_blocked = false;
        self.together = 0;
    }

    /// A claim from the line got jobs of served kinds.
    pub fn found_behind(&mut self) {
        self.crowd_waits.reset();
    }

    /// The line has no more jobs of served kinds: a few hints show whether the head is still blocked, after this pause.
    pub fn pause(&mut self, jitter: &Jitter) -> Duration {
        self.crowd = Crowd::Perhaps;
        self.crowd_waits.next(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Tried = Tried { started: 0, foreign: 0, parked: 0, may_be_crowded: true };

    #[test]
    fn hints_of_other_kinds_lead_to_the_line_and_a_trial_leads_back() {
        let (mut front, jitter) = (Front::new(), Jitter::seeded(1));
        front.tried(Tried { started: 1, foreign: 1, ..NOTHING });
        assert!(front.is_clear(), "half of them were claimed");
        front.tried(Tried { foreign: 1, may_be_crowded: false, ..NOTHING });
        assert!(front.is_clear(), "nothing stands behind them");
        front.tried(Tried { foreign: 1, ..NOTHING });
        assert!(front.is_crowded());
        assert!(front.pause(&jitter) <= Duration::from_millis(CROWD_PAUSE_MS.1));
        assert!(!front.is_crowded() && !front.is_clear());
        assert_eq!(front.hints_for(100), CROWD_TRIAL);
        front.tried(Tried { started: 1, ..NOTHING });
        assert!(front.is_clear());
    }

    #[test]
    fn many_hints_are_tried_together_while_none_can_be_claimed() {
        let mut front = Front::new();
        assert_eq!(front.hints_for(1), 1);
        front.tried(NOTHING);
        assert_eq!(front.hints_for(1), 1, "once is chance");
        front.tried(NOTHING);
        assert_eq!([front.hints_for(1), front.hints_for(1)], [TOGETHER_AT_FIRST, 2 * TOGETHER_AT_FIRST]);
        (0..10).for_each(|_| assert!(front.hints_for(1) <= BATCH_MAX));
        (0..FRUITLESS_IN_A_ROW).for_each(|_| front.tried(NOTHING));
        assert_eq!(front.rest(), Some(FRUITLESS_PAUSE));
        front.filled();
        assert_eq!((front.hints_for(1), front.rest()), (1, None));
        front.tried(Tried { parked: 1, ..NOTHING });
        assert_eq!(front.hints_for(1), TOGETHER_AT_FIRST, "a locked job may be the first of many");
        front.ran_out();
        assert_eq!(front.hints_for(1), 1);
    }
}
