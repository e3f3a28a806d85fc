//! Whether other sessions hold locks on jobs at the moment, judged by the last statements.
//!
//! The statements that workers send most wait for a locked row, because checking first whether each row is locked makes
//! every job a fifth more expensive. After a statement's wait has timed out, its careful variant, which skips locked
//! rows, is sent: at once, and then always as long as statements keep finding locks.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long the careful statements are used after the last lock was found. A statement whose wait for a lock times out
/// costs 50 ms, so such waits use at most a fortieth of the time.
const RECENT: Duration = Duration::from_secs(2);

/// When a statement last found a lock.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<Option<Instant>>);

impl Locks {
    /// A statement found a locked row.
    pub(crate) fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a statement found a lock recently.
    pub(crate) fn found_recently(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|found| found.elapsed() < RECENT)
    }
}
