//! Whether clients wait for jobs. A worker publishes the ends of jobs only while clients wait.

use leasehold_ports::AWAITED_FOR;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Until when ends are published; `None` if no client has ever waited.
#[derive(Debug, Default)]
pub(crate) struct Awaited(Mutex<Option<Instant>>);

impl Awaited {
    /// A client waits.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AWAITED_FOR);
    }

    /// Whether ends are published now.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }
}
