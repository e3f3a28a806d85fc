//! The values that steps exchange. Each value either has one writer, or is a set that one step fills and another step
//! empties.
//!
//! No lock is held during a call to a store, with one exception: the survey and the head step share the surveys.

use crate::{
    conditions::{Condition, Conditions},
    due::Due,
    expiry_guard::ExpiryGuard,
    heads::WANTED,
    report::StepReport,
    watch::Watch,
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName};
use leasehold_line::Surveys;
use leasehold_ports::Expired;
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The part of the memory of a reaper that more than one step uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) watch: Watch,
    expiry_guard: Mutex<ExpiryGuard>,
    conditions: Mutex<Conditions>,
    /// The survey step writes the surveys. The head step reads them, and takes the names of the lines that changed.
    pub(crate) surveys: tokio::sync::Mutex<Surveys>,
    known: Mutex<Known>,
    /// The next scheduled job.
    due: Mutex<Due>,
    /// The next tick of a schedule.
    next_fire: Mutex<Due>,
    exchange: Mutex<Exchange>,
}

/// The results of the last survey, for all steps but the head step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) leases: ScanStart,
    pub(crate) schedule: ScanStart,
    pub(crate) paused: Arc<BTreeSet<QueueName>>,
    pub(crate) is_slow: bool,
    /// Some of the queues in whose lines something changed.
    changed: BTreeSet<QueueName>,
    /// How often PostgreSQL was found unavailable. Results of surveys before an outage are not used.
    pub(crate) outages: u64,
}

/// Where a statement starts to read an index of times, so that it does not read the same dead rows each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScanStart {
    pub(crate) at: Option<DateTime<Utc>>,
    /// Changes with each new start. A step that began with an older start must not move the new one.
    version: u64,
    /// All work up to this time has been done. The next survey begins at this time.
    done_until: Option<DateTime<Utc>>,
}

impl ScanStart {
    /// Stores the start that a survey found.
    pub(crate) fn learn(&mut self, at: Option<DateTime<Utc>>) {
        if at != self.at {
            *self = Self { at, version: self.version + 1, done_until: None };
        }
    }

    /// Records that a step that began with `used` has done all work up to `time`.
    pub(crate) const fn done(&mut self, used: Self, time: DateTime<Utc>) {
        if used.version == self.version {
            self.done_until = Some(time);
        }
    }

    /// Removes and returns the time up to which all work has been done.
    pub(crate) const fn take_done(&mut self) -> Option<DateTime<Utc>> {
        self.done_until.take()
    }
}

/// Values that one step leaves for another step.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Queues whose pause flags the pauses step changed. The next read of heads includes these queues.
    pub(crate) flagged: BTreeSet<QueueName>,
    /// Lines that the head step must still compare with their heads.
    pub(crate) unfinished: BTreeSet<QueueName>,
    /// Queues with more waiting hints than jobs in the line. The sweep compares these queues.
    pub(crate) surplus: BTreeSet<QueueName>,
    /// Hints that doctor has found missing.
    pub(crate) missed: Vec<(QueueName, HashSet<JobId>)>,
    /// Jobs whose leases were expired. Redis was not updated yet.
    pub(crate) expired: Vec<Expired>,
}

impl Shared {
    pub(crate) fn new(watch: Watch, expiry_guard: ExpiryGuard) -> Self {
        Self {
            watch,
            expiry_guard: Mutex::new(expiry_guard),
            conditions: Mutex::default(),
            surveys: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            due: Mutex::default(),
            next_fire: Mutex::default(),
            exchange: Mutex::default(),
        }
    }

    pub(crate) fn expiry_guard(&self) -> MutexGuard<'_, ExpiryGuard> {
        lock(&self.expiry_guard)
    }

    /// Writes a line if the condition has begun or has ended.
    pub(crate) fn log(&self, what: Condition, wrong: Option<&str>) {
        lock(&self.conditions).log(what, wrong);
    }

    /// Writes a line if the step begins to fail or works again.
    pub(crate) fn log_step(&self, report: &StepReport, both_stores_answer: bool) {
        // If a store is unavailable, the log has said so already.
        if both_stores_answer || report.error.is_none() {
            self.log(Condition::StepFails(report.step), report.error.as_deref());
        }
        let StepReport { step, found, changed, took_ms, .. } = report;
        tracing::trace!(step, found, changed, took_ms, "step");
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    pub(crate) fn due(&self) -> MutexGuard<'_, Due> {
        lock(&self.due)
    }

    pub(crate) fn next_fire(&self) -> MutexGuard<'_, Due> {
        lock(&self.next_fire)
    }

    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        lock(&self.exchange)
    }

    /// PostgreSQL did not answer. The next answer may come from another server with another clock.
    pub(crate) fn postgres_is_unavailable(&self) {
        self.expiry_guard().missed();
        let mut known = self.known();
        known.outages += 1;
        known.leases.learn(None);
        known.schedule.learn(None);
    }

    /// Publishes the results of a survey to the other steps.
    pub(crate) fn publish(&self, surveys: &Surveys) {
        let mut known = self.known();
        known.leases.learn(surveys.leases_scan_start());
        known.schedule.learn(surveys.schedule_scan_start());
        if *known.paused != *surveys.paused() {
            known.paused = Arc::new(surveys.paused().clone());
        }
        known.is_slow = surveys.is_slow();
        known.changed = surveys.changed().iter().take(WANTED).cloned().collect();
    }

    /// The queues with known events. The next read of heads includes these queues.
    pub(crate) fn take_wanted(&self) -> BTreeSet<QueueName> {
        let mut exchange = self.exchange();
        let flagged = std::mem::take(&mut exchange.flagged);
        let mut wanted: BTreeSet<QueueName> =
            flagged.into_iter().chain(exchange.unfinished.iter().cloned()).take(WANTED).collect();
        drop(exchange);
        let known = self.known();
        wanted.extend(known.changed.iter().take(WANTED.saturating_sub(wanted.len())).cloned());
        wanted
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic cannot leave a value half written: each value is complete between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
