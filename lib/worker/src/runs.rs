//! The runs of this worker, from claim to settle: which leases to renew, which handlers to stop.

use crate::run::{Run, StopReason};
use leasehold_core::{Fence, FinishedRun, Settle};
use leasehold_ports::Deferred;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Every run that holds a lease, or may hold one.
#[derive(Debug)]
pub(crate) struct Runs {
    lease: Duration,
    handoff_lease: Duration,
    /// Ordered by id. The stores lock rows in the same order.
    held: Mutex<BTreeMap<Fence, Held>>,
}

#[derive(Debug)]
struct Held {
    run: Run,
    /// When the claim was sent.
    claimed_at: Instant,
    /// When the last write that set the lease in PostgreSQL was *sent*. The lease is valid at least for its full length
    /// from then.
    renewed_at: Instant,
    /// The same time for Redis, and the length of the lease there.
    hint_renewed_at: Instant,
    hint_lease: Duration,
    /// The handler has ended and the result is being written. The answer to that write decides, not the heartbeat.
    settling: bool,
    lost: bool,
}

/// The leases that the heartbeat must renew.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// The leases in PostgreSQL.
    pub(crate) leases: Vec<Fence>,
    /// The leases in Redis.
    pub(crate) hints: Vec<Run>,
}

impl Runs {
    pub(crate) fn new(lease: Duration, handoff_lease: Duration) -> Self {
        Self { lease, handoff_lease, held: Mutex::new(BTreeMap::new()) }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Fence, Held>> {
        // No code in here panics between two changes that belong together.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.held().len()
    }

    /// For how long the oldest run has been claimed; `None` if there is none.
    pub(crate) fn oldest(&self, now: Instant) -> Option<Duration> {
        let held = self.held();
        let first = held.values().map(|held| held.claimed_at).min();
        first.map(|claimed_at| now.saturating_duration_since(claimed_at))
    }

    /// The runs at this moment.
    pub(crate) fn fences(&self) -> BTreeSet<Fence> {
        self.held().keys().copied().collect()
    }

    /// Adds the runs of a claim that was sent at `sent_at`.
    pub(crate) fn insert(&self, runs: &[Run], sent_at: Instant) {
        let mut held = self.held();
        for run in runs {
            held.insert(
                run.fence(),
                Held {
                    run: run.clone(),
                    claimed_at: sent_at,
                    renewed_at: sent_at,
                    hint_renewed_at: sent_at,
                    hint_lease: self.handoff_lease,
                    settling: false,
                    lost: false,
                },
            );
        }
    }

    /// The results of these runs are about to be sent.
    pub(crate) fn settling<'a>(&self, runs: impl Iterator<Item = &'a Run>) {
        let mut held = self.held();
        for run in runs {
            if let Some(held) = held.get_mut(&run.fence()) {
                held.settling = true;
            }
        }
    }

    /// These runs have ended, with any result.
    pub(crate) fn remove<'a>(&self, runs: impl Iterator<Item = &'a Run>) {
        let mut held = self.held();
        for run in runs {
            held.remove(&run.fence());
        }
    }

    /// The leases of which more than one third has passed.
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

    /// PostgreSQL renewed this run; the write was sent at `sent_at`.
    pub(crate) fn renewed(&self, fence: Fence, sent_at: Instant) {
        if let Some(held) = self.held().get_mut(&fence) {
            held.renewed_at = sent_at;
        }
    }

    /// Whether more than half of this run's lease has passed since the last write that set the lease.
    pub(crate) fn is_overdue(&self, fence: Fence) -> bool {
        self.held().get(&fence).is_some_and(|held| held.renewed_at.elapsed() >= self.lease / 2)
    }

    /// PostgreSQL did not renew this run: the handler is told to stop. Returns whether this was not known before. Two sorts
    /// of runs are left out, because the write of their end will show the truth: runs whose result is being written, and
    /// runs that a transaction of their handler ends.
    pub(crate) fn lost(&self, fence: Fence) -> bool {
        let mut held = self.held();
        let is_open = |held: &&mut Held| !held.settling && !held.lost && !held.run.is_completed();
        let Some(held) = held.get_mut(&fence).filter(is_open) else { return false };
        held.lost = true;
        held.run.stop(StopReason::LeaseLost);
        true
    }

    /// PostgreSQL refused the result of this run. Returns whether the loss of the lease was not known before.
    pub(crate) fn note_lost(&self, fence: Fence) -> bool {
        self.held().get_mut(&fence).is_some_and(|held| !std::mem::replace(&mut held.lost, true))
    }

    /// Redis holds full leases for these runs, by a write sent at `sent_at`. Returns the runs that ended during this write:
    /// if the write came after their ack, it has set a lease for a run that no longer exists.
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

    /// Tells the handler of one run to stop. A run that has already ended is ignored.
    pub(crate) fn tell(&self, fence: Fence, reason: StopReason) {
        if let Some(held) = self.held().get(&fence) {
            held.run.stop(reason);
        }
    }

    /// The runs with progress that is not written.
    pub(crate) fn with_reports(&self) -> Vec<Run> {
        let held = self.held();
        held.values()
            .map(|held| &held.run)
            .filter(|run| run.has_unsent_report() && !run.is_completed())
            .cloned()
            .collect()
    }

    /// Tells every run to stop because the worker stops.
    pub(crate) fn stop_all(&self) {
        for held in self.held().values() {
            held.run.stop(StopReason::Stopping);
        }
    }
}

/// A run whose handler has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) run: Run,
    pub(crate) settle: Settle,
}

impl Ended {
    /// The end of the run in the form in which a stopping worker leaves it for a reaper.
    pub(crate) fn deferred(&self) -> Deferred {
        let run = FinishedRun { fence: self.run.fence(), settle: self.settle.clone() };
        Deferred { queue: self.run.job().queue.clone(), run }
    }
}
