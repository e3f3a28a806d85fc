//! Whether a store can be used, as far as this worker knows. Logs once when a store becomes unavailable, and once when
//! it is available again.
//!
//! A store can answer one call and fail the next one, several times a second: PostgreSQL with a full disk answers a ping and
//! refuses a write. The log then says once that the store keeps failing, and says that it is available again only after
//! [`STEADY`] without a failure.
//!
//! While results cannot be written, the store counts as unavailable, even if it answers other calls. Otherwise a worker would
//! claim more and more jobs whose results it cannot write either, and all of them would run again.
//!
//! While a lock of another transaction stops calls, the store counts as unavailable too. The log then names the lock: the server
//! itself answers, and an operator has to end the transaction that holds the lock.

use leasehold_ports::{Class, Error};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A store that has not failed for this long is steady: longer than the longest pause between two attempts of a worker (1 s).
const STEADY: Duration = Duration::from_secs(5);
/// The same after a call that did not get a lock in time. Such a call fails only after `database.lock_timeout_ms` (5 s unless it is
/// set), and other calls succeed meanwhile.
const STEADY_AFTER_LOCK: Duration = Duration::from_secs(8);

/// After an outage, calls that began during the outage may still fail. Failures that follow each other for longer than this are no
/// such calls.
const LATE_CALLS: Duration = Duration::from_secs(2);

/// When a server dies, the worker may read an answer of a moment ago after the first error. Such an answer does not mean that the server
/// is available again.
const EARLY_ANSWERS: Duration = Duration::from_secs(1);

/// The state of one of the two stores, as this worker knows it.
#[derive(Debug)]
pub struct Health {
    store: &'static str,
    meanwhile: &'static str,
    unavailable: AtomicBool,
    /// Results cannot be written, although the store may answer other calls.
    refuses_results: AtomicBool,
    /// What the log says. Locked only when the store changes, or while it keeps failing.
    logged: Mutex<Logged>,
    follows_failures: AtomicBool,
    changed: Notify,
}

/// What the log says about the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Logged {
    #[default]
    Nothing,
    /// Unavailable. Its last failure was at this time.
    Unavailable(Instant),
    /// Available again, since this time.
    Available(Instant),
    /// The store was available again, and soon a call failed, at this time. It may have begun before: the log has no news yet.
    FailedOnce { at: Instant, has_answered: bool },
    /// The store answers some calls and fails others. Its last failure was at this time.
    KeepsFailing(Instant),
    /// A lock stops calls. It did so last at this time.
    Locked(Instant),
}

/// A line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogLine {
    Unavailable,
    Locked,
    KeepsFailing,
    AvailableAgain,
    Unlocked,
}

impl Logged {
    /// The store has just become unavailable.
    fn failed(&mut self, now: Instant, class: Class) -> Option<LogLine> {
        let (logged, line) = match *self {
            Self::Locked(_) if class == Class::Locked => (Self::Locked(now), None),
            _ if class == Class::Locked => (Self::Locked(now), Some(LogLine::Locked)),
            // Calls that wait for the lock use all connections, so other calls fail too, in other ways.
            Self::Locked(locked_at) if now - locked_at < STEADY_AFTER_LOCK => return None,
            Self::Available(since) if now - since < STEADY => (Self::FailedOnce { at: now, has_answered: false }, None),
            Self::FailedOnce { at, .. } if now - at < LATE_CALLS => return None,
            Self::FailedOnce { has_answered: true, .. } => (Self::KeepsFailing(now), Some(LogLine::KeepsFailing)),
            Self::KeepsFailing(_) => (Self::KeepsFailing(now), None),
            Self::Unavailable(_) => (Self::Unavailable(now), None),
            Self::Nothing | Self::Available(_) | Self::Locked(_) | Self::FailedOnce { .. } => {
                (Self::Unavailable(now), Some(LogLine::Unavailable))
            }
        };
        *self = logged;
        line
    }

    /// A call has just succeeded.
    fn answered(&mut self, now: Instant) -> Option<LogLine> {
        let line = match *self {
            Self::Nothing | Self::Available(_) => return None,
            Self::FailedOnce { at, .. } => {
                let was_late = now - at >= STEADY;
                *self = if was_late { Self::Available(at) } else { Self::FailedOnce { at, has_answered: true } };
                return None;
            }
            Self::KeepsFailing(failed_at) if now - failed_at < STEADY => return None,
            Self::Locked(locked_at) if now - locked_at < STEADY_AFTER_LOCK => return None,
            Self::Unavailable(failed_at) if now - failed_at < EARLY_ANSWERS => return None,
            Self::Unavailable(_) | Self::KeepsFailing(_) => LogLine::AvailableAgain,
            Self::Locked(_) => LogLine::Unlocked,
        };
        *self = Self::Available(now);
        Some(line)
    }
}

impl Health {
    /// `meanwhile`: what the worker does while the store is unavailable, for the log.
    pub const fn new(store: &'static str, meanwhile: &'static str) -> Self {
        Self {
            store,
            meanwhile,
            unavailable: AtomicBool::new(false),
            refuses_results: AtomicBool::new(false),
            logged: Mutex::new(Logged::Nothing),
            follows_failures: AtomicBool::new(false),
            changed: Notify::const_new(),
        }
    }

    /// Whether the store counts as unavailable.
    pub fn is_unavailable(&self) -> bool {
        self.unavailable.load(Ordering::Acquire)
    }

    /// A call failed.
    pub fn failed(&self, error: &Error) {
        let was_available = !self.unavailable.swap(true, Ordering::AcqRel);
        if was_available || self.follows_failures.load(Ordering::Relaxed) {
            self.log(|logged, now| logged.failed(now, error.class), Some(error));
        }
        if was_available {
            self.changed.notify_waiters();
        }
    }

    /// Results could not be written, and not for the first time: until [`Health::results_written`], the store is unavailable.
    pub fn results_refused(&self, error: &Error) {
        self.refuses_results.store(true, Ordering::Release);
        self.failed(error);
    }

    /// Results have been written, or need not be written any more.
    pub fn results_written(&self) {
        if self.refuses_results.load(Ordering::Relaxed) {
            self.refuses_results.store(false, Ordering::Release);
        }
        self.answered();
    }

    /// A call succeeded.
    pub fn answered(&self) {
        if self.refuses_results.load(Ordering::Acquire) {
            return;
        }
        // Load before swap: this runs for every batch, and each swap would take the cache line from other threads.
        let is_back = self.is_unavailable() && self.unavailable.swap(false, Ordering::AcqRel);
        if is_back || self.follows_failures.load(Ordering::Relaxed) {
            self.log(Logged::answered, None);
        }
        if is_back {
            self.changed.notify_waiters();
        }
    }

    fn log(&self, event: impl Fn(&mut Logged, Instant) -> Option<LogLine>, error: Option<&Error>) {
        let line = {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            let line = event(&mut logged, Instant::now());
            self.follows_failures.store(!matches!(*logged, Logged::Nothing | Logged::Available(_)), Ordering::Relaxed);
            line
        };
        let Self { store, meanwhile, .. } = *self;
        let error = error.map(tracing::field::display);
        match line {
            Some(LogLine::Unavailable) => tracing::warn!(store, error, "{store} is unavailable; {meanwhile}"),
            Some(LogLine::Locked) => tracing::warn!(
                store,
                error,
                "{store} answers, but another transaction holds a lock that is needed; {meanwhile}"
            ),
            Some(LogLine::KeepsFailing) => {
                tracing::warn!(store, error, "{store} answers some calls and fails others; {meanwhile}");
            }
            Some(LogLine::Unlocked) => tracing::info!(store, "the lock is gone: {store} can be used again"),
            Some(LogLine::AvailableAgain) => tracing::info!(store, "{store} is available again"),
            None => {}
        }
    }

    /// Ready when the store is, or already was, unavailable.
    pub async fn until_unavailable(&self) {
        self.until(true).await;
    }

    /// Ready when the store is available again.
    pub async fn until_back(&self) {
        self.until(false).await;
    }

    async fn until(&self, unavailable: bool) {
        loop {
            let changed = self.changed.notified();
            if self.is_unavailable() == unavailable {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_refuses_results_is_unavailable_whatever_else_it_answers() {
        let health = Health::new("PostgreSQL", "no jobs are claimed");
        health.results_refused(&Error::new("PostgreSQL", "settling", Class::Transient, "the disk is full"));
        health.answered();
        assert!(health.is_unavailable());
        health.results_written();
        assert!(!health.is_unavailable());
    }

    #[test]
    fn a_store_that_keeps_failing_is_logged_once() {
        let (start, mut logged) = (Instant::now(), Logged::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(logged.answered(at(0)), None);
        assert_eq!(logged.failed(at(1), Class::Transient), Some(LogLine::Unavailable));
        assert_eq!(logged.answered(at(2)), None, "an answer of a moment ago");
        for ms in (200..5_000).step_by(400) {
            assert_eq!((logged.failed(at(ms), Class::Transient), logged.answered(at(ms + 1))), (None, None));
        }
        assert_eq!(logged.answered(at(6_000)), Some(LogLine::AvailableAgain));
        let lines: Vec<_> = (6_001..20_000)
            .step_by(400)
            .flat_map(|ms| [logged.failed(at(ms), Class::Transient), logged.answered(at(ms + 1))])
            .flatten()
            .collect();
        assert_eq!(lines, [LogLine::KeepsFailing]);
        assert_eq!(logged.answered(at(20_500)), None, "not steady yet");
        assert_eq!(logged.answered(at(26_000)), Some(LogLine::AvailableAgain));
        assert_eq!(logged.answered(at(26_001)), None);
        assert_eq!(logged.failed(at(60_000), Class::Transient), Some(LogLine::Unavailable), "a new outage");
    }

    #[test]
    fn calls_that_began_before_the_end_of_an_outage_are_no_news() {
        let (start, mut logged) = (Instant::now(), Logged::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(logged.failed(at(0), Class::Transient), Some(LogLine::Unavailable));
        assert_eq!(logged.answered(at(20_000)), Some(LogLine::AvailableAgain));
        for ms in [20_100, 20_700, 21_900] {
            assert_eq!((logged.failed(at(ms), Class::Transient), logged.answered(at(ms + 10))), (None, None));
        }
        assert_eq!(logged.answered(at(25_200)), None);
        assert_eq!(logged.failed(at(26_000), Class::Transient), Some(LogLine::Unavailable), "a new outage");
        assert_eq!(logged.answered(at(28_000)), Some(LogLine::AvailableAgain));
        // A new outage that begins before the store was steady is told too, two seconds later.
        let first = (29_000..40_000).step_by(500).find_map(|ms| Some((ms, logged.failed(at(ms), Class::Transient)?)));
        assert_eq!(first, Some((31_000, LogLine::Unavailable)));
    }

    /// Every fifth second a call fails because of the lock; calls that do not need the lock succeed all the time.
    #[test]
    fn a_lock_that_stays_is_logged_once() {
        let (start, mut logged) = (Instant::now(), Logged::default());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(logged.failed(at(5), Class::Locked), Some(LogLine::Locked));
        for s in (10..60).step_by(5) {
            assert_eq!((logged.answered(at(s - 1)), logged.failed(at(s), Class::Locked)), (None, None));
        }
        assert_eq!(logged.answered(at(62)), None, "not steady yet");
        assert_eq!(logged.answered(at(63)), Some(LogLine::Unlocked));
        assert_eq!(logged.failed(at(200), Class::Transient), Some(LogLine::Unavailable));
        assert_eq!(logged.answered(at(300)), Some(LogLine::AvailableAgain));
    }

    #[test]
    fn an_outage_and_a_lock_after_each_other_are_both_logged() {
        let (start, mut logged) = (Instant::now(), Logged::default());
        let at = |s| start + Duration::from_secs(s);
        // The server comes back, and a change of the schema has locked a table.
        assert_eq!(logged.failed(at(0), Class::Transient), Some(LogLine::Unavailable));
        assert_eq!(logged.failed(at(10), Class::Locked), Some(LogLine::Locked));
        // All connections wait for the lock.
        assert_eq!(logged.failed(at(12), Class::Transient), None);
        assert_eq!(logged.failed(at(15), Class::Locked), None);
        // The server goes away.
        assert_eq!(logged.failed(at(36), Class::Transient), Some(LogLine::Unavailable));
        assert_eq!(logged.answered(at(60)), Some(LogLine::AvailableAgain));
    }

    #[test]
    fn a_lock_is_logged_although_the_store_is_already_unavailable() {
        let health = Health::new("PostgreSQL", "no jobs are claimed");
        let error = |class| Error::new("PostgreSQL", "claiming jobs", class, "no");
        health.failed(&error(Class::Transient));
        health.failed(&error(Class::Locked));
        assert!(matches!(*health.logged.lock().expect("the state"), Logged::Locked(_)));
        assert!(health.is_unavailable());
    }
}
