//! How many jobs of a queue this worker may hold: one a slot, and a few ahead, as many as the slots will get through in a
//! moment. Small jobs are so claimed and settled in batches much larger than the slots; of long ones none is held that
//! another worker could run.

use crate::shortage::Shortage;
use leasehold_core::BATCH_MAX;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What is held ahead should have a slot within this time. A job waits no longer for being claimed too early than it
/// would for a round trip on a busy day.
const AHEAD: Duration = Duration::from_millis(10);
/// The most that is held ahead, whatever the jobs: one full batch runs while the next one is claimed.
pub(crate) const AHEAD_MAX: usize = 2 * BATCH_MAX;
/// A job that has got no slot after this time is given back: the slots have come upon longer jobs than before.
pub(crate) const AHEAD_PATIENCE: Duration = Duration::from_millis(250);

/// The places of one queue.
#[derive(Debug)]
pub(crate) struct Places {
    count: usize,
    slots: Arc<Semaphore>,
    held: AtomicUsize,
    /// How long a run takes, in ns, as a moving average; 0 before the first has ended.
    run_ns: AtomicU64,
    freed: Notify,
    shortage: Arc<Shortage>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(crate) fn new(slots: u32, shortage: Arc<Shortage>) -> Arc<Self> {
        let count = slots as usize;
        Arc::new(Self {
            count,
            slots: Arc::new(Semaphore::new(count)),
            held: AtomicUsize::new(0),
            run_ns: AtomicU64::new(0),
            freed: Notify::new(),
            shortage,
        })
    }

    /// How many slots there are, and in how many of them nothing runs.
    pub(crate) fn slots(&self) -> (usize, usize) {
        (self.count, self.slots.available_permits())
    }

    /// Waits until a job may be claimed; how many may be. Only one caller at a time: the loop of the queue.
    pub(crate) async fn free(&self) -> usize {
        loop {
            let held = self.held.load(Ordering::Acquire);
            let allowed = self.shortage.within(self.count) + self.soon();
            if held < allowed {
                return allowed - held;
            }
            self.freed.notified().await;
        }
    }

    /// How many places will be free in a moment, by how long runs took so far.
    pub(crate) fn soon(&self) -> usize {
        if self.shortage.may_hold_ahead() { ahead(self.count, self.run_ns.load(Ordering::Relaxed)) } else { 0 }
    }

    /// How many jobs may be held has changed.
    pub(crate) fn look_again(&self) {
        self.freed.notify_one();
    }

    /// Takes a place for a job that was claimed.
    pub(crate) fn take(self: &Arc<Self>) -> Place {
        self.held.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(self))
    }
}

impl Place {
    /// A slot, if one is free at once.
    pub(crate) fn slot_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.slots).try_acquire_owned().ok()
    }

    /// A slot, in the order in which they were asked for.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.0.slots).acquire_owned().await.ok()
    }

    /// A run took this long.
    pub(crate) fn took(&self, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Two that end at once may lose one of the two: it is an estimate.
        let before = self.0.run_ns.load(Ordering::Relaxed);
        let after = if before == 0 { time_ns } else { before - before / 8 + time_ns / 8 };
        self.0.run_ns.store(after.max(1), Ordering::Relaxed);
    }

    /// No slot in time: whatever the average says, the runs of now take at least that long.
    pub(crate) fn waited_in_vain(&self) {
        let waited_ns = u64::try_from(AHEAD_PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        self.0.run_ns.fetch_max(waited_ns, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// How many jobs so many slots get through in [`AHEAD`].
fn ahead(slots: usize, run_ns: u64) -> usize {
    if run_ns == 0 {
        return 0;
    }
    let per_slot = u64::try_from(AHEAD.as_nanos()).unwrap_or(u64::MAX) as f64 / run_ns as f64;
    // A float as an integer keeps to the integer's bounds.
    ((slots as f64 * per_slot) as usize).min(AHEAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_jobs_are_held_ahead_and_long_ones_are_not() {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).expect("a short time");
        assert_eq!(ahead(50, 0), 0, "nothing is known yet");
        assert_eq!(ahead(50, ns(Duration::from_micros(5))), AHEAD_MAX);
        assert_eq!(ahead(50, ns(Duration::from_millis(10))), 50);
        assert_eq!(ahead(50, ns(Duration::from_millis(100))), 5);
        assert_eq!(ahead(2, ns(Duration::from_secs(60))), 0);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(2, Arc::default());
        let (first, second) = (places.take(), places.take());
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.free().await }
        });
        assert_eq!((first.slot_now().is_some(), second.slot_now().is_some()), (true, true));
        drop(first);
        assert_eq!(waiting.await.expect("a free place"), 1);
    }

    #[test]
    fn a_wait_in_vain_ends_the_holding_ahead() {
        let places = Places::new(50, Arc::default());
        let place = places.take();
        place.took(Duration::from_micros(5));
        place.waited_in_vain();
        assert_eq!(ahead(50, places.run_ns.load(Ordering::Relaxed)), 2);
    }
}
