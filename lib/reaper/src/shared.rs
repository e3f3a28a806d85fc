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
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a transient failure of a step must last until the log says so: several ticks. When a server crashes or restarts, many
/// steps fail once, before the next tick finds the server unavailable or ready again.
const FAILS_FOR: Duration = Duration::from_secs(5);

/// The part of the memory of a reaper that more than one step uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) watch: Watch,
    expiry_guard: Mutex<ExpiryGuard>,
    conditions: Mutex<Conditions>,
    /// The steps whose last run failed, each with its first failure since its last success. Both stores have answered since then.
    failing_since: Mutex<BTreeMap<&'static str, Instant>>,
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
            failing_since: Mutex::default(),
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

    /// Writes a line if the step begins to fail or works again. A transient failure must have lasted for a while.
    pub(crate) fn log_step(&self, report: &StepReport, is_transient: bool, both_stores_answer: bool) {
        let StepReport { step, found, changed, took_ms, .. } = report;
        tracing::trace!(step, found, changed, took_ms, "step");
        let mut failing_since = lock(&self.failing_since);
        let Some(error) = report.error.as_deref() else {
            failing_since.remove(step);
            return self.log(Condition::StepFails(step), None);
        };
        if !both_stores_answer {
            // The log has said that the store is unavailable.
            failing_since.remove(step);
            return;
        }
        let since = *failing_since.entry(step).or_insert_with(Instant::now);
        if !is_transient || since.elapsed() >= FAILS_FOR {
            self.log(Condition::StepFails(step), Some(error));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(error: Option<&str>) -> StepReport {
        StepReport {
            step: "expire",
            found: 0,
            changed: 0,
            drift: BTreeMap::new(),
            took_ms: 0.0,
            error: error.map(str::to_owned),
        }
    }

    fn is_news(shared: &Shared) -> bool {
        lock(&shared.conditions).holds(Condition::StepFails("expire"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_fails_once_while_a_server_restarts_is_no_news() {
        let shared = Shared::new(Watch::new(Duration::from_secs(1)), ExpiryGuard::new(Duration::from_secs(30)));
        shared.log_step(&report(Some("the connection was closed")), true, true);
        tokio::time::advance(FAILS_FOR).await;
        shared.log_step(&report(None), false, true);
        shared.log_step(&report(Some("the connection was closed")), true, true);
        // The server was unavailable in the meantime, which the log has said.
        shared.log_step(&report(Some("PostgreSQL is unavailable")), true, false);
        tokio::time::advance(FAILS_FOR).await;
        shared.log_step(&report(Some("the connection was closed")), true, true);
        assert!(!is_news(&shared));
        tokio::time::advance(FAILS_FOR).await;
        shared.log_step(&report(Some("the connection was closed")), true, true);
        assert!(is_news(&shared));
        shared.log_step(&report(None), false, true);
        assert!(!is_news(&shared));
        shared.log_step(&report(Some("permission denied")), false, true);
        assert!(is_news(&shared));
    }
}
