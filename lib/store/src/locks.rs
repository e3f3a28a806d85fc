//! Whether other transactions hold locks on jobs just now, as the last statements found.
//!
//! The statements that workers send most wait for a locked row, because asking first whether a row is locked costs every
//! job a fifth more. When one has waited in vain, its careful variant, which skips locked rows, is sent instead: at once,
//! and from the start for as long as locks keep being found.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long after the last lock that was found the careful statements are used: a statement that waits for a lock in vain
/// costs 50 ms, so at most one in forty parts of the time goes into such waits.
const RECENT: Duration = Duration::from_secs(2);

/// When a lock was found last.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<Option<Instant>>);

impl Locks {
    /// A row was found locked.
    pub(crate) fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether one was found a moment ago.
    pub(crate) fn are_around(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|found| found.elapsed() < RECENT)
    }
}
