//! The current faults of the stores and of the connections to them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Postgres,
    Redis,
}

/// The current faults.
#[derive(Debug)]
pub(crate) struct Weather {
    now: Mutex<[Condition; 2]>,
    /// Signals that connections to Redis are cut.
    cuts: Notify,
}

/// The current faults of one store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    /// The store refuses every call until this time.
    pub(crate) away_until: Option<Instant>,
    /// The store answers nothing until this time, and keeps its connections.
    pub(crate) stalled_until: Option<Instant>,
    /// How often a call is lost, and how often an answer is lost.
    pub(crate) loss: f64,
    /// The longest delay of a call, in ms.
    pub(crate) latency_ms: u64,
}

impl Default for Condition {
    fn default() -> Self {
        Self { away_until: None, stalled_until: None, loss: 0.0, latency_ms: 3 }
    }
}

impl Condition {
    pub(crate) fn is_away(&self) -> bool {
        self.away_until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn stalls_for(&self) -> Duration {
        self.stalled_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl Weather {
    pub(crate) fn fine() -> Self {
        Self { now: Mutex::default(), cuts: Notify::new() }
    }

    fn now(&self) -> MutexGuard<'_, [Condition; 2]> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn at(&self, place: Server) -> Condition {
        self.now()[place as usize]
    }

    pub(crate) fn change(&self, place: Server, change: impl FnOnce(&mut Condition)) {
        change(&mut self.now()[place as usize]);
        if place == Server::Redis && self.at(place).is_away() {
            self.cuts.notify_waiters();
        }
    }

    pub(crate) fn clear(&self) {
        *self.now() = <[Condition; 2]>::default();
    }

    /// Ready when connections to Redis are cut for the next time.
    pub(crate) async fn cut(&self) {
        self.cuts.notified().await;
    }
}
