//! How many jobs of one queue this worker may hold: one for each slot, and a few more that are prefetched.
//!
//! The worker prefetches as many jobs as its slots will finish during one claim, or within [`PREFETCH_WINDOW`]. So small jobs are
//! claimed and settled in batches much larger than the number of slots, a slow connection leaves no slot idle, and the worker
//! holds no long job that another worker could run.

use crate::shortage::Shortage;
use leasehold_core::BATCH_MAX;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore},
    task::{Unconstrained, unconstrained},
};

/// A prefetched job should get a slot within this time: about one round trip to PostgreSQL on a busy day. If every claim takes
/// longer, because PostgreSQL is far away, the window is the duration of a claim plus the time to get the hints for the next
/// claim.
const PREFETCH_WINDOW: Duration = Duration::from_millis(10);
/// PostgreSQL counts as far away if even the shortest claims take this long. On a busy machine nearby, some are much shorter.
const FAR: Duration = Duration::from_millis(20);
/// The longest window.
const WINDOW_MAX: Duration = Duration::from_millis(250);
/// The most jobs that are prefetched: one full batch runs while the next one is claimed.
pub(crate) const PREFETCH_MAX: usize = 2 * BATCH_MAX;
/// The jobs of a claim get their slots in order if there are no more of them than this.
const ORDERED_AT_MOST: usize = 32;
/// A prefetched job without a slot is released after this time, or four windows: the jobs in the slots take longer than the
/// average said.
const PREFETCH_TIMEOUT: Duration = Duration::from_millis(250);

/// The slots and the prefetch of one queue.
#[derive(Debug)]
pub(crate) struct Capacity {
    count: usize,
    slots: Arc<Semaphore>,
    held: AtomicUsize,
    /// Moving average of the duration of a run, in ns; 0 before the first run has ended.
    run_ns: AtomicU64,
    /// The shortest of the last claims, in ns. A claim may also take long because PostgreSQL has much to do; the shortest one
    /// shows how far away PostgreSQL is.
    claim_ns: AtomicU64,
    freed: Notify,
    /// A job with a higher priority always comes first in the queue, so that nothing is prefetched. Also set before the order is
    /// known.
    is_strict: AtomicBool,
    /// Jobs were claimed since the last call of [`Capacity::has_claimed`].
    has_claimed: AtomicBool,
    shortage: Arc<Shortage>,
}

/// Room for one held job. Dropping the reservation frees the room.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<Capacity>);

impl Capacity {
    pub(crate) fn new(slots: u32, shortage: Arc<Shortage>) -> Arc<Self> {
        let count = slots as usize;
        Arc::new(Self {
            count,
            slots: Arc::new(Semaphore::new(count)),
            held: AtomicUsize::new(0),
            run_ns: AtomicU64::new(0),
            claim_ns: AtomicU64::new(0),
            freed: Notify::new(),
            is_strict: AtomicBool::new(true),
            has_claimed: AtomicBool::new(false),
            shortage,
        })
    }

    /// How many slots there are, and in how many of them nothing runs.
    pub(crate) fn slots(&self) -> (usize, usize) {
        (self.count, self.slots.available_permits())
    }

    /// Waits until at least one job may be claimed, and returns how many may be. Only the loop of the queue calls this.
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

    /// How many jobs may be prefetched, from the average duration of a run.
    pub(crate) fn soon(&self) -> usize {
        if self.is_strict() { 0 } else { self.soon_in_any_order() }
    }

    /// The same for a queue in which no job overtakes a prefetched job.
    pub(crate) fn soon_in_any_order(&self) -> usize {
        if !self.shortage.may_hold_ahead() {
            return 0;
        }
        ahead(self.count, self.window(), self.run_ns.load(Ordering::Relaxed))
    }

    /// Whether a job with a higher priority always comes first in the queue.
    pub(crate) fn set_strict(&self, is_strict: bool) {
        self.is_strict.store(is_strict, Ordering::Relaxed);
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict.load(Ordering::Relaxed)
    }

    /// Whether jobs were claimed since the last call.
    pub(crate) fn has_claimed(&self) -> bool {
        self.has_claimed.swap(false, Ordering::Relaxed)
    }

    /// Whether the jobs of a claim of this size get their slots in order. A large batch of small jobs does not need this order,
    /// unless the jobs run in one slot, one after the other.
    pub(crate) fn is_ordered(&self, jobs: usize) -> bool {
        jobs <= ORDERED_AT_MOST || self.count == 1 || self.is_strict()
    }

    /// A claim took this long.
    pub(crate) fn claimed_within(&self, time: Duration) {
        let before = self.claim_ns.load(Ordering::Relaxed);
        // Forgets a short claim slowly: the connection may have become slower.
        let longest = if before == 0 { u64::MAX } else { before.saturating_add(before / 8) };
        self.claim_ns.store(as_ns(time).min(longest).max(1), Ordering::Relaxed);
    }

    /// A prefetched job should get a slot within this time.
    fn window(&self) -> Duration {
        let claim = Duration::from_nanos(self.claim_ns.load(Ordering::Relaxed));
        if claim < FAR { PREFETCH_WINDOW } else { (claim * 2).min(WINDOW_MAX) }
    }

    /// A prefetched job, or a hint for one, that gets no slot within this time goes back.
    pub(crate) fn patience(&self) -> Duration {
        PREFETCH_TIMEOUT.max(self.window() * 4)
    }

    /// The limit on held jobs has changed: wake the loop of the queue.
    pub(crate) fn look_again(&self) {
        self.freed.notify_one();
    }

    /// Reserves room for a claimed job.
    pub(crate) fn take(self: &Arc<Self>) -> Reservation {
        self.held.fetch_add(1, Ordering::AcqRel);
        self.has_claimed.store(true, Ordering::Relaxed);
        Reservation(Arc::clone(self))
    }
}

/// The wait for a slot, with its place in the order.
pub(crate) type SlotWait =
    Unconstrained<Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>>;

/// A slot that was asked for.
pub(crate) enum Slot {
    Free(OwnedSemaphorePermit),
    Later(SlotWait),
    /// The semaphore was closed, which never happens.
    Never,
}

impl Reservation {
    /// Asks for a slot. Slots are given in the order of these calls, no matter which task waits first.
    pub(crate) fn slot(&self) -> Slot {
        if let Ok(slot) = Arc::clone(&self.0.slots).try_acquire_owned() {
            return Slot::Free(slot);
        }
        // Without tokio's limit on the steps of one task, which would refuse the first poll after 128 calls in a row.
        let wait: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(Arc::clone(&self.0.slots).acquire_owned());
        let mut wait = unconstrained(wait);
        // The first poll puts the wait into the order of the semaphore.
        match Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(slot) => slot.map_or(Slot::Never, Slot::Free),
            Poll::Pending => Slot::Later(wait),
        }
    }

    /// Adds the duration of a run to the average.
    pub(crate) fn took(&self, time: Duration) {
        let time_ns = as_ns(time).max(1);
        // If two runs end at the same moment, one of the two updates may be lost. The average is an estimate.
        let before = self.0.run_ns.load(Ordering::Relaxed);
        // A short first run counts as one of eight. Otherwise one very short run would make a new worker claim hundreds of jobs. A
        // long one counts fully: a new worker must not hold jobs ahead that would wait for its slots.
        let before = if before == 0 { time_ns.max(as_ns(PREFETCH_WINDOW)) } else { before };
        let after = before - before / 8 + time_ns / 8;
        self.0.run_ns.store(after.max(1), Ordering::Relaxed);
    }

    /// How long a job without a slot is kept.
    pub(crate) fn patience(&self) -> Duration {
        self.0.patience()
    }

    /// No slot was free within this time: runs now take at least this long, even if the average is shorter.
    pub(crate) fn slot_wait_timed_out(&self, waited: Duration) {
        self.0.run_ns.fetch_max(as_ns(waited), Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

fn as_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How many jobs `slots` finish within the window.
fn ahead(slots: usize, window: Duration, run_ns: u64) -> usize {
    if run_ns == 0 {
        return 0;
    }
    let per_slot = as_ns(window) as f64 / run_ns as f64;
    // The conversion from a float keeps the integer within its bounds.
    ((slots as f64 * per_slot) as usize).min(PREFETCH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The capacity of a queue that is not strict.
    fn capacity(slots: u32) -> Arc<Capacity> {
        let capacity = Capacity::new(slots, Arc::default());
        capacity.set_strict(false);
        capacity
    }

    #[test]
    fn small_jobs_are_prefetched_and_long_ones_are_not() {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).expect("a short time");
        assert_eq!(ahead(50, PREFETCH_WINDOW, 0), 0, "nothing is known yet");
        assert_eq!(ahead(50, PREFETCH_WINDOW, ns(Duration::from_micros(5))), PREFETCH_MAX);
        assert_eq!(ahead(50, PREFETCH_WINDOW, ns(Duration::from_millis(10))), 50);
        assert_eq!(ahead(50, PREFETCH_WINDOW, ns(Duration::from_millis(100))), 5);
        assert_eq!(ahead(2, PREFETCH_WINDOW, ns(Duration::from_secs(60))), 0);
    }

    #[test]
    fn one_short_run_does_not_fill_the_prefetch() {
        let capacity = capacity(8);
        let reservation = capacity.take();
        reservation.took(Duration::from_micros(5));
        assert_eq!(capacity.soon(), 9);
        (0..60).for_each(|_| reservation.took(Duration::from_micros(5)));
        assert_eq!(capacity.soon(), PREFETCH_MAX, "all runs are short");
    }

    #[test]
    fn a_long_first_run_stops_the_prefetch() {
        let capacity = capacity(10);
        capacity.take().took(Duration::from_millis(110));
        assert_eq!(capacity.soon(), 0);
    }

    #[test]
    fn behind_a_slow_link_more_is_prefetched() {
        let capacity = capacity(8);
        let ms = Duration::from_millis;
        let reservation = capacity.take();
        (0..60).for_each(|_| reservation.took(ms(20)));
        assert_eq!(capacity.soon(), 4, "no claim is known");
        capacity.claimed_within(ms(2));
        (0..3).for_each(|_| capacity.claimed_within(ms(100)));
        assert_eq!(capacity.soon(), 4, "a few slow claims are no slow link");
        (0..60).for_each(|_| capacity.claimed_within(ms(100)));
        assert_eq!((capacity.soon(), capacity.patience()), (80, ms(800)));
        capacity.claimed_within(ms(2));
        assert_eq!((capacity.soon(), capacity.patience()), (4, PREFETCH_TIMEOUT));
        (0..200).for_each(|_| capacity.claimed_within(ms(60_000)));
        assert_eq!((capacity.soon(), capacity.patience()), (100, ms(1000)));
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_it_is_dropped() {
        let capacity = capacity(2);
        let (first, second) = (capacity.take(), capacity.take());
        let waiting = tokio::spawn({
            let capacity = Arc::clone(&capacity);
            async move { capacity.free().await }
        });
        let slots = [first.slot(), second.slot()];
        assert!(slots.iter().all(|slot| matches!(slot, Slot::Free(_))));
        drop(first);
        assert_eq!(waiting.await.expect("free capacity"), 1);
    }

    #[tokio::test]
    async fn slots_are_given_in_the_order_of_the_calls() {
        let capacity = capacity(1);
        let reservations: Vec<_> = (0..500).map(|_| capacity.take()).collect();
        let mut slots: Vec<_> = reservations.iter().map(|one| one.slot()).collect();
        let Slot::Free(mut slot) = slots.remove(0) else { panic!("the first slot is free") };
        // Each wait is polled after all waits behind it.
        for _ in 1..500 {
            drop(slot);
            let mut ready = Vec::new();
            for (nth, wait) in slots.iter_mut().enumerate().rev() {
                let Slot::Later(wait) = wait else { panic!("no slot is free") };
                if let Poll::Ready(slot) = Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())) {
                    ready.push((nth, slot.expect("the semaphore is open")));
                }
            }
            assert_eq!(ready.iter().map(|(nth, _)| *nth).collect::<Vec<_>>(), [0]);
            slot = ready.remove(0).1;
            slots.remove(0);
        }
    }

    #[test]
    fn a_slot_wait_that_timed_out_ends_the_prefetch() {
        let capacity = capacity(50);
        let reservation = capacity.take();
        reservation.took(Duration::from_micros(5));
        reservation.slot_wait_timed_out(PREFETCH_TIMEOUT);
        assert_eq!(ahead(50, PREFETCH_WINDOW, capacity.run_ns.load(Ordering::Relaxed)), 2);
    }
}
