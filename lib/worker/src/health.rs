//! Whether a store can be used, as far as this worker knows. Logs once when a store becomes unavailable, and once when
//! it is available again.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

/// What this worker knows about one of the two stores.
#[derive(Debug)]
pub(crate) struct Health {
    store: &'static str,
    meanwhile: &'static str,
    unavailable: AtomicBool,
    changed: Notify,
}

impl Health {
    /// `meanwhile`: what the worker does while the store is unavailable, for the log.
    pub(crate) const fn new(store: &'static str, meanwhile: &'static str) -> Self {
        Self { store, meanwhile, unavailable: AtomicBool::new(false), changed: Notify::const_new() }
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.unavailable.load(Ordering::Acquire)
    }

    /// A call failed.
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        if !self.unavailable.swap(true, Ordering::AcqRel) {
            tracing::warn!(store = self.store, %error, "{} is unavailable; {}", self.store, self.meanwhile);
            self.changed.notify_waiters();
        }
    }

    /// A call succeeded.
    pub(crate) fn answered(&self) {
        // Load before swap: this runs for every batch, and each swap would take the cache line from other threads.
        if self.is_unavailable() && self.unavailable.swap(false, Ordering::AcqRel) {
            tracing::info!(store = self.store, "{} is available again", self.store);
            self.changed.notify_waiters();
        }
    }

    /// Ready when the store is, or already was, unavailable.
    pub(crate) async fn until_unavailable(&self) {
        self.until(true).await;
    }

    /// Ready when the store is available again.
    pub(crate) async fn until_back(&self) {
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
