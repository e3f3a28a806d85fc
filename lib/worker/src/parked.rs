//! Hints that PostgreSQL refused although their jobs wait in the line and this worker could run them. There are four reasons:
//! another transaction has locked the row; a job with the same unique key runs, and only one of them may run; a limit key has no
//! token; or the job has crashed workers before and must wait until other such jobs have ended.
//!
//! Such hints are parked here and tried again after a pause, so that they do not block the hints behind them. Redis
//! keeps them leased, so that no fill puts them back into the head. If this worker has no time for them, the leases run
//! out, and the reaper gives the hints to other workers.

use leasehold_core::JobId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// The first and the longest pause before a locked job is tried again. A claim or a cancel by another process ends
/// within the first pause. If locks stay, a thousand parked jobs cost two statements in each longest pause.
const LOCKED_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The longest pause while at most this many hints are parked: a job at the front of the line should begin soon after the lock on
/// it ends, and a few rows cost little to try.
const FEW_LOCKED: (usize, Duration) = (16, Duration::from_millis(400));
/// The same for a job that waits until another job with its unique key has ended. The run may end at any time, and the job
/// should begin soon after it.
const KEY_HELD_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// The same for a job whose token should have come, but another job has got it: the job gets the time of another token soon.
const TOKEN_GONE_PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(400));
/// The most locked jobs that one statement tries.
const LOCKED_AT_ONCE: usize = 500;
/// The pause before jobs that crashed before are tried again: after one of them was claimed, and after none was
/// claimed.
const CRASHED_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// How many of those jobs one statement tries: as many as may run at the same time, and one more in case the first job is
/// locked.
const CRASHED_AT_ONCE: usize = 11;
const IN_DANGER_AT_ONCE: usize = 2;

/// Why a hint is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Another transaction holds a lock on the row.
    Locked,
    /// A job with the same unique key has begun, and only one of them may run.
    KeyHeld,
    /// A limit key has no token. A claim may get one after this time.
    NoToken(Duration),
    /// The job's lease has run out before: only a few such jobs run at the same time.
    Crashed,
    /// The same, but one more crash ends the job: only one such job runs at a time.
    InDanger,
}

/// The wait of a parked hint.
#[derive(Clone, Copy, Debug)]
struct Wait {
    due: Instant,
    /// Hints that are due at the same time are tried in the order in which they were parked, which is the order of the line.
    nth: u64,
    /// The pause, which grows if the job cannot be claimed then.
    pause: Duration,
    /// The job waits for a token, which comes when the hint is due.
    for_token: bool,
}

/// The parked hints of one queue.
#[derive(Debug)]
pub struct Parked {
    locked: BTreeMap<JobId, Wait>,
    due: BTreeSet<(Instant, u64, JobId)>,
    /// How many hints were parked for a lock until now.
    parked: u64,
    crashed: VecDeque<JobId>,
    in_danger: VecDeque<JobId>,
    crashed_due: Instant,
    /// When Redis was last asked to keep the leases.
    held_at: Instant,
    handoff_lease: Duration,
}

impl Parked {
    /// No hints. Redis keeps a lease of this length for each hint.
    pub fn new(handoff_lease: Duration) -> Self {
        let now = Instant::now();
        Self {
            locked: BTreeMap::new(),
            due: BTreeSet::new(),
            parked: 0,
            crashed: VecDeque::new(),
            in_danger: VecDeque::new(),
            crashed_due: now,
            held_at: now,
            handoff_lease,
        }
    }

    /// Whether no hint is parked.
    pub fn is_empty(&self) -> bool {
        self.locked.is_empty() && self.crashed.is_empty() && self.in_danger.is_empty()
    }

    /// Parks hints that were just refused. A hint that was parked for a lock before is parked for twice as long.
    pub fn park(&mut self, hints: impl IntoIterator<Item = (JobId, Reason)>) {
        let now = Instant::now();
        if self.is_empty() {
            self.held_at = now;
        }
        for (id, reason) in hints {
            match reason {
                Reason::Locked | Reason::KeyHeld | Reason::NoToken(_) => {
                    let (first, longest) = match reason {
                        Reason::Locked if self.locked.len() <= FEW_LOCKED.0 => (LOCKED_PAUSE.0, FEW_LOCKED.1),
                        Reason::Locked => LOCKED_PAUSE,
                        Reason::NoToken(_) => TOKEN_GONE_PAUSE,
                        _ => KEY_HELD_PAUSE,
                    };
                    let before = self.locked.remove(&id);
                    if let Some(before) = before {
                        self.due.remove(&(before.due, before.nth, id));
                    }
                    let mut pause = before.map_or(first, |before| (before.pause * 2).min(longest));
                    let mut due = now + pause;
                    if let Reason::NoToken(token_in) = reason
                        && !token_in.is_zero()
                    {
                        (pause, due) = (first, now + token_in);
                    }
                    self.parked += 1;
                    self.locked.insert(
                        id,
                        Wait { due, nth: self.parked, pause, for_token: matches!(reason, Reason::NoToken(_)) },
                    );
                    self.due.insert((due, self.parked, id));
                }
                Reason::Crashed => self.crashed.push_back(id),
                Reason::InDanger => self.in_danger.push_back(id),
            }
        }
    }

    /// The time of the next action: to try hints again, or to keep their leases.
    pub fn next(&self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let locked = self.due.first().map(|(due, ..)| *due);
        let crashed = (!self.crashed.is_empty() || !self.in_danger.is_empty()).then_some(self.crashed_due);
        locked.into_iter().chain(crashed).chain([self.held_at + self.handoff_lease / 3]).min()
    }

    /// The hints to try now. They stay parked until [`Parked::tried`].
    pub fn due(&mut self) -> Vec<JobId> {
        let now = Instant::now();
        let mut ids: Vec<JobId> =
            self.due.iter().take_while(|(due, ..)| *due <= now).take(LOCKED_AT_ONCE).map(|(.., id)| *id).collect();
        if self.crashed_due <= now {
            ids.extend(self.in_danger.iter().take(IN_DANGER_AT_ONCE));
            ids.extend(self.crashed.iter().take(CRASHED_AT_ONCE));
        }
        ids
    }

    /// These hints were tried, and `claimed` of them were claimed. The caller parks the others again if their jobs
    /// still wait.
    pub fn tried(&mut self, ids: &[JobId], claimed: &BTreeSet<JobId>) {
        let tried: BTreeSet<JobId> = ids.iter().copied().collect();
        let before = self.crashed.len() + self.in_danger.len();
        for queue in [&mut self.crashed, &mut self.in_danger] {
            queue.retain(|id| !tried.contains(id));
        }
        if self.crashed.len() + self.in_danger.len() < before {
            let (soon, later) = CRASHED_PAUSE;
            self.crashed_due = Instant::now() + if claimed.is_empty() { later } else { soon };
        }
        // The pause of a locked hint is kept until the lock is known to be released.
        for id in claimed {
            self.forget(*id);
        }
    }

    /// When the first token comes that a hint waits for.
    pub fn next_token(&self) -> Option<Instant> {
        self.due.iter().find(|(.., id)| self.waits_for_token(*id)).map(|(due, ..)| *due)
    }

    /// Removes and returns the hints whose tokens have come: the worker has no slot for their jobs.
    pub fn take_tokens_due(&mut self) -> Vec<JobId> {
        let now = Instant::now();
        let due = self.due.iter().take_while(|(due, ..)| *due <= now);
        let ids: Vec<JobId> = due.map(|(.., id)| *id).filter(|id| self.waits_for_token(*id)).collect();
        ids.iter().for_each(|id| self.forget(*id));
        ids
    }

    fn waits_for_token(&self, id: JobId) -> bool {
        self.locked.get(&id).is_some_and(|wait| wait.for_token)
    }

    /// Removes a hint whose job this worker can no longer claim.
    pub fn forget(&mut self, id: JobId) {
        if let Some(wait) = self.locked.remove(&id) {
            self.due.remove(&(wait.due, wait.nth, id));
        }
    }

    /// The hints whose leases Redis must keep now. If the call is so late that the leases may have run out, the hints
    /// may belong to other workers, so none stays parked.
    pub fn leases_to_hold(&mut self) -> Vec<JobId> {
        if self.is_empty() || self.held_at.elapsed() < self.handoff_lease / 3 {
            return Vec::new();
        }
        if self.held_at.elapsed() >= self.handoff_lease {
            self.take_all();
            return Vec::new();
        }
        self.held_at = Instant::now();
        self.ids()
    }

    fn ids(&self) -> Vec<JobId> {
        self.locked.keys().chain(&self.in_danger).chain(&self.crashed).copied().collect()
    }

    /// Removes and returns all hints: the worker stops, or Redis is unavailable.
    pub fn take_all(&mut self) -> Vec<JobId> {
        let ids = self.ids();
        *self = Self::new(self.handoff_lease);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const LEASE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_locked_hint_is_tried_after_pauses_that_double() {
        let (mut parked, id) = (Parked::new(LEASE), JobId::new());
        for pause_ms in [100, 200, 400, 400] {
            parked.park([(id, Reason::Locked)]);
            advance(Duration::from_millis(pause_ms - 1)).await;
            assert!(parked.due().is_empty(), "before {pause_ms} ms");
            advance(Duration::from_millis(1)).await;
            assert_eq!(parked.due(), [id], "after {pause_ms} ms");
            parked.tried(&[id], &BTreeSet::new());
        }
        parked.tried(&[id], &BTreeSet::from([id]));
        assert!(parked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn many_locked_hints_are_tried_less_often() {
        let (mut parked, ids) = (Parked::new(LEASE), [(); 100].map(|()| JobId::new()));
        for pause_ms in [100, 200, 400, 800, 1600, 2000, 2000] {
            parked.park(ids.map(|id| (id, Reason::Locked)));
            // The first hints of the first call were few.
            advance(Duration::from_millis(pause_ms - 1)).await;
            assert!(!parked.due().contains(&ids[99]), "before {pause_ms} ms");
            advance(Duration::from_millis(1)).await;
            assert!(parked.due().contains(&ids[99]), "after {pause_ms} ms");
            parked.tried(&ids, &BTreeSet::new());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_whose_key_is_held_is_tried_soon_again() {
        let (mut parked, id) = (Parked::new(LEASE), JobId::new());
        for pause_ms in [50, 100, 200, 400, 400] {
            parked.park([(id, Reason::KeyHeld)]);
            advance(Duration::from_millis(pause_ms - 1)).await;
            assert!(parked.due().is_empty(), "before {pause_ms} ms");
            advance(Duration::from_millis(1)).await;
            assert_eq!(parked.due(), [id], "after {pause_ms} ms");
            parked.tried(&[id], &BTreeSet::new());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_without_a_token_is_tried_when_its_token_comes() {
        let (mut parked, [id, locked]) = (Parked::new(LEASE), [(); 2].map(|()| JobId::new()));
        // First the token comes in a second. Then other jobs have got it, and each time the next token should already be there.
        for (token_in_ms, pause_ms) in [(1000, 1000), (0, 4), (0, 8), (30, 30), (0, 4)] {
            parked.park([(id, Reason::NoToken(Duration::from_millis(token_in_ms)))]);
            assert_eq!(parked.next_token(), Some(Instant::now() + Duration::from_millis(pause_ms)));
            advance(Duration::from_millis(pause_ms - 1)).await;
            assert!(parked.due().is_empty(), "before {pause_ms} ms");
            advance(Duration::from_millis(1)).await;
            assert_eq!(parked.due(), [id], "after {pause_ms} ms");
            parked.tried(&[id], &BTreeSet::new());
        }
        parked.park([(locked, Reason::Locked)]);
        advance(LOCKED_PAUSE.0).await;
        assert_eq!(parked.take_tokens_due(), [id], "other workers may have a slot for it");
        assert_eq!((parked.due(), parked.next_token()), (vec![locked], None));
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_in_danger_are_tried_two_at_a_time_and_in_turns() {
        let (mut parked, ids) = (Parked::new(LEASE), [(); 4].map(|()| JobId::new()));
        parked.park(ids.map(|id| (id, Reason::InDanger)));
        assert_eq!(parked.due(), ids[..2]);
        parked.tried(&ids[..2], &BTreeSet::from([ids[0]]));
        parked.park([(ids[1], Reason::InDanger)]);
        assert!(parked.due().is_empty());
        advance(CRASHED_PAUSE.0).await;
        assert_eq!(parked.due(), ids[2..], "the one that was not claimed waits for its next turn");
    }

    #[tokio::test(start_paused = true)]
    async fn hints_whose_leases_may_have_run_out_are_others() {
        let (mut parked, id) = (Parked::new(LEASE), JobId::new());
        parked.park([(id, Reason::Crashed)]);
        assert!(parked.leases_to_hold().is_empty(), "they are fresh");
        advance(LEASE / 2).await;
        assert_eq!(parked.leases_to_hold(), [id]);
        advance(LEASE).await;
        assert!(parked.leases_to_hold().is_empty() && parked.is_empty());
    }
}
