//! The runs of this worker, from claim to settle: whom to renew, whom to tell.

use crate::run::{Run, StopReason};
use leasehold_core::Fence;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Every run that holds a lease, or may.
#[derive(Debug)]
pub(crate) struct Runs {
    lease: Duration,
    handoff_lease: Duration,
    /// In the order of ids, in which the stores lock rows too.
    held: Mutex<BTreeMap<Fence, Held>>,
}

#[derive(Debug)]
struct Held {
    run: Run,
    /// When the last write that set the lease in PostgreSQL was *sent*: it stands at least until a lease after that.
    renewed_at: Instant,
    /// The same in Redis, with the lease set there.
    hint_renewed_at: Instant,
    hint_lease: Duration,
    /// Its handler has ended and the result is on its way: the answer to that decides, not the heartbeat.
    settling: bool,
    lost: bool,
}

/// What the heartbeat has to renew.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// In PostgreSQL.
    pub(crate) leases: Vec<Fence>,
    /// In Redis.
    pub(crate) hints: Vec<Run>,
}

impl Runs {
    pub(crate) fn new(lease: Duration, handoff_lease: Duration) -> Self {
        Self { lease, handoff_lease, held: Mutex::new(BTreeMap::new()) }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Fence, Held>> {
        // Nothing in here panics between two changes that belong together.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.held().len()
    }

    /// Those that are known now.
    pub(crate) fn fences(&self) -> BTreeSet<Fence> {
        self.held().keys().copied().collect()
    }

    /// Runs whose claim was sent at `sent_at`.
    pub(crate) fn insert(&self, runs: &[Run], sent_at: Instant) {
        let mut held = self.held();
        for run in runs {
            held.insert(
                run.fence(),
                Held {
                    run: run.clone(),
                    renewed_at: sent_at,
                    hint_renewed_at: sent_at,
                    hint_lease: self.handoff_lease,
                    settling: false,
                    lost: false,
                },
            );
        }
    }

    /// The results of these are about to be sent.
    pub(crate) fn settling<'a>(&self, runs: impl Iterator<Item = &'a Run>) {
        let mut held = self.held();
        for run in runs {
            if let Some(held) = held.get_mut(&run.fence()) {
                held.settling = true;
            }
        }
    }

    /// These have ended, one way or the other.
    pub(crate) fn remove<'a>(&self, runs: impl Iterator<Item = &'a Run>) {
        let mut held = self.held();
        for run in runs {
            held.remove(&run.fence());
        }
    }

    /// What is past a third of its lease.
    pub(crate) fn due(&self, now: Instant) -> Due {
        let mut due = Due::default();
        for (fence, held) in self.held().iter().filter(|(_, held)| !held.lost) {
            if now.saturating_duration_since(held.renewed_at) >= self.lease / 3 {
                due.leases.push(*fence);
            }
            if now.saturating_duration_since(held.hint_renewed_at) >= held.hint_lease / 3 {
                due.hints.push(held.run.clone());
            }
        }
        due
    }

    /// PostgreSQL renewed this run, by a write sent at `sent_at`.
    pub(crate) fn renewed(&self, fence: Fence, sent_at: Instant) {
        if let Some(held) = self.held().get_mut(&fence) {
            held.renewed_at = sent_at;
        }
    }

    /// Whether more than half of the lease of this run is over, by the last write that set it.
    pub(crate) fn is_overdue(&self, fence: Fence) -> bool {
        self.held().get(&fence).is_some_and(|held| held.renewed_at.elapsed() >= self.lease / 2)
    }

    /// PostgreSQL did not renew this run: its handler is told. Whether that was news. A run whose result is on its way
    /// learns it from the answer to that, which may as well be that the result was written just now.
    pub(crate) fn lost(&self, fence: Fence) -> bool {
        let mut held = self.held();
        let Some(held) = held.get_mut(&fence).filter(|held| !held.settling && !held.lost) else { return false };
        held.lost = true;
        held.run.stop(StopReason::LeaseLost);
        true
    }

    /// PostgreSQL refused the result of this run. Whether that was news.
    pub(crate) fn note_lost(&self, fence: Fence) -> bool {
        self.held().get_mut(&fence).is_some_and(|held| !std::mem::replace(&mut held.lost, true))
    }

    /// Redis holds full leases on these, by a write sent at `sent_at`. Returns those that ended meanwhile: the write may
    /// have come after their ack, and left a lease on nothing.
    pub(crate) fn hints_renewed(&self, runs: Vec<Run>, sent_at: Instant) -> Vec<Run> {
        let mut held = self.held();
        runs.into_iter()
            .filter(|run| match held.get_mut(&run.fence()) {
                Some(held) => {
                    held.hint_renewed_at = sent_at;
                    held.hint_lease = self.lease;
                    false
                }
                None => true,
            })
            .collect()
    }

    /// Tells the handler of one run to stop; a run that is not here any more needs no telling.
    pub(crate) fn tell(&self, fence: Fence, reason: StopReason) {
        if let Some(held) = self.held().get(&fence) {
            held.run.stop(reason);
        }
    }

    /// Tells every run to stop because the worker does.
    pub(crate) fn stop_all(&self) {
        for held in self.held().values() {
            held.run.stop(StopReason::Stopping);
        }
    }
}
