//! What a worker did in its life, counted where it happens.

use leasehold_core::Settle;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a worker did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Jobs claimed.
    pub claimed: u64,
    /// Hints whose jobs PostgreSQL did not grant.
    pub hints_refused: u64,
    /// Runs that ended in a result.
    pub succeeded: u64,
    /// Runs that failed and will be tried again.
    pub retried: u64,
    /// Runs that asked to be called again later.
    pub snoozed: u64,
    /// Runs given back unharmed.
    pub released: u64,
    /// Runs that ended their job as dead.
    pub buried: u64,
    /// Runs that ended because a cancel was wanted.
    pub cancelled: u64,
    /// Runs whose lease was found lost.
    pub leases_lost: u64,
    /// Results of handlers that came after the lease was lost, and were not written.
    pub stale_writes_refused: u64,
    /// Times the end of a run could not be written yet, because another transaction held a lock on its job.
    pub settles_held_up: u64,
    /// Ends of runs that a stop left for the reaper to write, for the same reason.
    pub deferred: u64,
    /// Ends of runs that a stop could not write anywhere: their jobs run again when the leases run out.
    pub unwritten: u64,
}

/// The same while it is being counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) claimed: Counter,
    pub(crate) hints_refused: Counter,
    pub(crate) leases_lost: Counter,
    pub(crate) stale_writes_refused: Counter,
    pub(crate) settles_held_up: Counter,
    pub(crate) deferred: Counter,
    pub(crate) unwritten: Counter,
    succeeded: Counter,
    retried: Counter,
    snoozed: Counter,
    released: Counter,
    buried: Counter,
    cancelled: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// A run was settled so.
    pub(crate) fn settled(&self, settle: &Settle) {
        match settle {
            Settle::Complete(_) => &self.succeeded,
            Settle::Retry { .. } => &self.retried,
            Settle::Snooze { .. } => &self.snoozed,
            Settle::Release => &self.released,
            Settle::Bury { .. } => &self.buried,
            Settle::Cancel => &self.cancelled,
        }
        .add(1);
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            claimed: self.claimed.get(),
            hints_refused: self.hints_refused.get(),
            succeeded: self.succeeded.get(),
            retried: self.retried.get(),
            snoozed: self.snoozed.get(),
            released: self.released.get(),
            buried: self.buried.get(),
            cancelled: self.cancelled.get(),
            leases_lost: self.leases_lost.get(),
            stale_writes_refused: self.stale_writes_refused.get(),
            settles_held_up: self.settles_held_up.get(),
            deferred: self.deferred.get(),
            unwritten: self.unwritten.get(),
        }
    }
}
