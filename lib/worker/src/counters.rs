//! The counters of a worker, each incremented where the event happens.

use leasehold_core::Settle;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a worker since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// Jobs claimed.
    pub claimed: u64,
    /// Hints that PostgreSQL refused.
    pub hints_refused: u64,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed; the job will run again.
    pub retried: u64,
    /// Runs that asked to run again later.
    pub snoozed: u64,
    /// Runs that were released: the attempt was not spent.
    pub released: u64,
    /// Runs that ended with their job dead.
    pub buried: u64,
    /// Runs that ended because of a cancel request.
    pub cancelled: u64,
    /// Runs that lost their lease.
    pub leases_lost: u64,
    /// Results that came after the lease was lost. They were not written.
    pub stale_writes_refused: u64,
    /// Times that the end of a run could not be written yet, because another transaction held a lock on the row of the
    /// job.
    pub settles_held_up: u64,
    /// Ends of runs that a stopping worker left for the reaper to write, because rows were locked.
    pub deferred: u64,
    /// Ends of runs that a stopping worker could not write anywhere. These jobs run again when their leases run out.
    pub unwritten: u64,
}

/// The same counters while the worker runs.
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
    /// Counts a run that was settled in this way.
    pub(crate) fn settled(&self, settle: &Settle) {
        match settle {
            Settle::Complete(_) | Settle::CompleteThen(_) => &self.succeeded,
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
