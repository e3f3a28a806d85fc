//! Hints that were refused although their jobs wait in the line and this worker could run them: a row is locked by somebody's
//! open transaction, or the job has crashed its workers before and has to wait until the ones before it have ended.
//!
//! Such hints are parked here, so that they hold up nobody behind them, and tried again after pauses. Redis keeps them
//! leased meanwhile, so that no fill brings them back to the head. If this worker has no time for them, the leases run
//! out and the reaper gives the hints to others.

use leasehold_core::JobId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// The first pause before a locked job is tried again, and the longest. A claim or a cancel by another process is over
/// within the first; a lock that stays costs a thousand parked jobs two statements in the longest.
const LOCKED_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The most locked jobs that one statement tries.
const LOCKED_AT_ONCE: usize = 500;
/// The pause before jobs that crashed before are tried again, when one of them was claimed just now, and when none was.
const CRASHED_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// How many of those one statement tries: as many as may run at once, and one more in case that the first is locked.
const CRASHED_AT_ONCE: usize = 11;
const IN_DANGER_AT_ONCE: usize = 2;

/// Why a hint is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Another transaction holds a lock on the row.
    Locked,
    /// The job's lease has run out before: only a few such jobs run at once.
    Crashed,
    /// The same, and one more crash ends the job: only one such job runs at once.
    InDanger,
}

/// The parked hints of one queue.
#[derive(Debug)]
pub(crate) struct Parked {
    /// When each is due, and the pause that led there.
    locked: BTreeMap<JobId, (Instant, Duration)>,
    due: BTreeSet<(Instant, JobId)>,
    crashed: VecDeque<JobId>,
    in_danger: VecDeque<JobId>,
    crashed_due: Instant,
    /// When Redis was last asked to keep the leases.
    held_at: Instant,
    handoff_lease: Duration,
}

impl Parked {
    pub(crate) fn new(handoff_lease: Duration) -> Self {
        let now = Instant::now();
        Self {
            locked: BTreeMap::new(),
            due: BTreeSet::new(),
            crashed: VecDeque::new(),
            in_danger: VecDeque::new(),
            crashed_due: now,
            held_at: now,
            handoff_lease,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.locked.is_empty() && self.crashed.is_empty() && self.in_danger.is_empty()
    }

    /// Parks hints that were refused just now. One that was parked for a lock before is parked for twice as long.
    pub(crate) fn park(&mut self, hints: impl IntoIterator<Item = (JobId, Reason)>) {
        let now = Instant::now();
        if self.is_empty() {
            self.held_at = now;
        }
        for (id, reason) in hints {
            match reason {
                Reason::Locked => {
                    let pause = match self.locked.remove(&id) {
                        Some((due, pause)) => {
                            self.due.remove(&(due, id));
                            (pause * 2).min(LOCKED_PAUSE.1)
                        }
                        None => LOCKED_PAUSE.0,
                    };
                    self.locked.insert(id, (now + pause, pause));
                    self.due.insert((now + pause, id));
                }
                Reason::Crashed => self.crashed.push_back(id),
                Reason::InDanger => self.in_danger.push_back(id),
            }
        }
    }

    /// When hints should be tried again, or their leases be kept.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let locked = self.due.first().map(|(due, _)| *due);
        let crashed = (!self.crashed.is_empty() || !self.in_danger.is_empty()).then_some(self.crashed_due);
        locked.into_iter().chain(crashed).chain([self.held_at + self.handoff_lease / 3]).min()
    }

    /// The hints to be tried now. They stay parked until [`Parked::tried`].
    pub(crate) fn due(&mut self) -> Vec<JobId> {
        let now = Instant::now();
        let mut ids: Vec<JobId> =
            self.due.iter().take_while(|(due, _)| *due <= now).take(LOCKED_AT_ONCE).map(|(_, id)| *id).collect();
        if self.crashed_due <= now {
            ids.extend(self.in_danger.iter().take(IN_DANGER_AT_ONCE));
            ids.extend(self.crashed.iter().take(CRASHED_AT_ONCE));
        }
        ids
    }

    /// These were tried, and `claimed` of them were claimed. The others are to be parked again, if they still wait.
    pub(crate) fn tried(&mut self, ids: &[JobId], claimed: &BTreeSet<JobId>) {
        let tried: BTreeSet<JobId> = ids.iter().copied().collect();
        let before = self.crashed.len() + self.in_danger.len();
        for queue in [&mut self.crashed, &mut self.in_danger] {
            queue.retain(|id| !tried.contains(id));
        }
        if self.crashed.len() + self.in_danger.len() < before {
            let (soon, later) = CRASHED_PAUSE;
            self.crashed_due = Instant::now() + if claimed.is_empty() { later } else { soon };
        }
        // The pause of a locked one is remembered until it is known to have gone.
        for id in claimed {
            self.forget(*id);
        }
    }

    /// A hint whose job is no longer one to be claimed here.
    pub(crate) fn forget(&mut self, id: JobId) {
        if let Some((due, _)) = self.locked.remove(&id) {
            self.due.remove(&(due, id));
        }
    }

    /// Whether Redis is to be asked now to keep the leases, and which. If that was missed for so long that they may have
    /// run out, the hints belong to others by now: none is parked any more.
    pub(crate) fn leases_to_hold(&mut self) -> Vec<JobId> {
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

    /// All of them, which are parked no longer: the worker stops, or Redis is away.
    pub(crate) fn take_all(&mut self) -> Vec<JobId> {
        let ids = self.ids();
        *self = Self::new(self.handoff_lease);
        ids
    }
}
