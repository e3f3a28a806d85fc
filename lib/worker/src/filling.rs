//! Fills the head of one queue, for all workers, when this worker finds the head low.
//!
//! This module decides when to fill, and that only one process fills at a time. `lib/line` knows which jobs to fill in.

use crate::{jitter::Waits, worker_state::WorkerState};
use leasehold_core::QueueName;
use leasehold_line::{extend_head, fill_head};
use leasehold_ports::Error;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// A worker that dies during a fill blocks other fills for this time. The time is a little longer than a fill takes. A
/// second fill does no harm, but a missing fill stops the fleet.
const FILL_LOCK: Duration = Duration::from_millis(100);
/// The time after which a worker that found another process filling looks again.
const FILL_LOOK: Duration = Duration::from_millis(20);

/// The delay before the next fill when Redis already holds all hints that a fill could bring, because their claims are
/// still in progress: the first delay and the longest.
const ALL_UNDER_WAY_MS: (u64, u64) = (5, 250);

/// The result of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    /// The head has hints again, by this fill or by a fill of another worker.
    Hints,
    /// All jobs that were read are leased, and the line continues behind them.
    Nothing,
}

/// Fills the head of one queue.
pub(crate) struct Filling {
    state: Arc<WorkerState>,
    queue: QueueName,
    /// How often the head was found low since a fill began; above zero, a fill is in progress.
    wanted: AtomicU32,
}

impl Filling {
    pub(crate) fn new(state: Arc<WorkerState>, queue: QueueName) -> Self {
        Self { state, queue, wanted: AtomicU32::new(0) }
    }

    /// Called when the head is low and the line is longer. One worker at a time fills the head, in parallel with its
    /// other work. A low reading during a fill may be stale; the head is checked again after the fill.
    pub(crate) fn want(filling: &Arc<Self>) {
        if filling.wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let filling = Arc::clone(filling);
        let state = Arc::clone(&filling.state);
        state.background.spawn(async move {
            if let Err(error) = filling.keep_filled().await {
                // The next call to this store finds out by itself whether the store is unavailable.
                tracing::debug!(queue = %filling.queue, %error, "the head was not filled");
            }
        });
    }

    async fn keep_filled(&self) -> Result<(), Error> {
        let mut waits = Waits::new(ALL_UNDER_WAY_MS.0, ALL_UNDER_WAY_MS.1);
        let mut filled = self.fill().await;
        loop {
            let seen = self.wanted.load(Ordering::Acquire);
            let again = match filled {
                Ok(Brought::Hints) => {
                    waits.reset();
                    seen > 1
                }
                // The workers that claim these hints will then block in a take, and no later claim would notice a low
                // head.
                Ok(Brought::Nothing) => {
                    self.pause(waits.next(&self.state.jitter)).await;
                    true
                }
                Err(_) => false,
            };
            if again && !self.state.stopping.is_cancelled() {
                self.wanted.fetch_sub(seen - 1, Ordering::AcqRel);
                filled = self.fill_if_low().await;
            } else if self.wanted.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return filled.map(drop);
            }
        }
    }

    async fn fill_if_low(&self) -> Result<Brought, Error> {
        if self.is_low().await? { self.fill().await } else { Ok(Brought::Hints) }
    }

    async fn fill(&self) -> Result<Brought, Error> {
        let Self { state, queue, .. } = self;
        while !state.handoff.lock_fill(queue, FILL_LOCK).await? {
            // Another process fills the head, or has just done so. If that fill was too small, no worker may notice it:
            // all workers wait for hints.
            self.pause(FILL_LOOK).await;
            if state.stopping.is_cancelled() || !self.is_low().await? {
                return Ok(Brought::Hints);
            }
        }
        let filled = self.extend_or_fill().await;
        state.handoff.unlock_fill(queue).await?;
        filled
    }

    async fn extend_or_fill(&self) -> Result<Brought, Error> {
        let (store, handoff) = (&*self.state.store, &*self.state.handoff);
        let report = match extend_head(store, handoff, &self.queue, handoff.head_max()).await? {
            Some(report) => report,
            None => fill_head(store, handoff, &self.queue, handoff.head_max()).await?,
        };
        Ok(if report.more && report.pushed == 0 { Brought::Nothing } else { Brought::Hints })
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = sleep(time) => {}
            () = self.state.stopping.cancelled() => {}
        }
    }

    /// The head, as a claim would find it.
    async fn is_low(&self) -> Result<bool, Error> {
        let head = self.state.handoff.stats(&self.queue).await?;
        Ok(head.overflow && head.ready * 2 < u64::from(self.state.handoff.head_max()))
    }
}
