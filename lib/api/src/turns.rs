//! Runs requests with the same key one after another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OwnedMutexGuard;

type Locks = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The keys that have a request at work.
#[derive(Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<Locks>>);

/// A request is at work.
#[derive(Debug)]
pub(crate) struct Turn {
    key: String,
    locks: Arc<Mutex<Locks>>,
    /// `None` while the request waits.
    guard: Option<OwnedMutexGuard<()>>,
}

fn locked(locks: &Mutex<Locks>) -> MutexGuard<'_, Locks> {
    locks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    pub(crate) async fn wait(&self, key: &str) -> Turn {
        let lock = Arc::clone(locked(&self.0).entry(key.to_owned()).or_default());
        // Made before the wait: a request that gives up must not leave its key behind.
        let mut turn = Turn { key: key.to_owned(), locks: Arc::clone(&self.0), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut locks = locked(&self.locks);
        drop(self.guard.take());
        // The only reference is the one in the map: no other request waits.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_request_of_a_key_is_at_work() {
        let turns = Turns::default();
        let first = turns.wait("a").await;
        drop(turns.wait("b").await);
        let mut second = Box::pin(turns.wait("a"));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        assert!(locked(&turns.0).is_empty(), "no key stays");
    }
}
