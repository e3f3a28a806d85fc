//! Whether a store can be used, as far as this worker knows. Says so once when it cannot, and once when it can again.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

/// What is known about one of the two stores.
#[derive(Debug)]
pub(crate) struct Health {
    store: &'static str,
    meanwhile: &'static str,
    away: AtomicBool,
    changed: Notify,
}

impl Health {
    /// `meanwhile`: what the worker does while the store is away, for the log.
    pub(crate) const fn new(store: &'static str, meanwhile: &'static str) -> Self {
        Self { store, meanwhile, away: AtomicBool::new(false), changed: Notify::const_new() }
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Acquire)
    }

    /// A call failed.
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        if !self.away.swap(true, Ordering::AcqRel) {
            tracing::warn!(store = self.store, %error, "{} is unavailable; {}", self.store, self.meanwhile);
            self.changed.notify_waiters();
        }
    }

    /// A call succeeded.
    pub(crate) fn answered(&self) {
        // The load first: this is called for every batch, and a swap would take the cache line each time.
        if self.is_away() && self.away.swap(false, Ordering::AcqRel) {
            tracing::info!(store = self.store, "{} is available again", self.store);
            self.changed.notify_waiters();
        }
    }

    /// Ready when the store is (or already was) away.
    pub(crate) async fn until_away(&self) {
        self.until(true).await;
    }

    /// Ready when the store answers again.
    pub(crate) async fn until_back(&self) {
        self.until(false).await;
    }

    async fn until(&self, away: bool) {
        loop {
            let changed = self.changed.notified();
            if self.is_away() == away {
                return;
            }
            changed.await;
        }
    }
}
