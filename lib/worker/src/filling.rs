//! Filling the head of one queue, for all workers, when this one finds it low.
//!
//! It owns when to fill, and that one process does it at a time. What to fill it with is the reaper's knowledge.

use crate::member::Member;
use leasehold_core::QueueName;
use leasehold_reaper::{Error, extend_head, fill_head};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How long a worker that fills the head, and dies at it, keeps others from doing the same. A little longer than it takes:
/// a second fill does no harm, but one that is needed and not made stops the fleet.
const FILL_LOCK: Duration = Duration::from_millis(100);
/// How soon a worker that found somebody else filling looks again.
const FILL_LOOK: Duration = Duration::from_millis(20);

/// Fills the head of one queue.
pub(crate) struct Filling {
    member: Arc<Member>,
    queue: QueueName,
    /// Times the head was found low since a fill began; above zero, one is under way.
    wanted: AtomicU32,
}

impl Filling {
    pub(crate) fn new(member: Arc<Member>, queue: QueueName) -> Self {
        Self { member, queue, wanted: AtomicU32::new(0) }
    }

    /// The head is low and the line longer: one worker at a time brings more of it, beside its other work. What is found
    /// low while that is under way may be so without the hints that it brings, or with them: afterwards it is looked at.
    pub(crate) fn want(filling: &Arc<Self>) {
        if filling.wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let filling = Arc::clone(filling);
        let member = Arc::clone(&filling.member);
        member.errands.spawn(async move {
            if let Err(error) = filling.keep_filled().await {
                // Whoever needs that store next finds out by itself whether it is away.
                tracing::debug!(queue = %filling.queue, %error, "the head was not filled");
            }
        });
    }

    async fn keep_filled(&self) -> Result<(), Error> {
        let mut filled = self.fill().await;
        loop {
            let seen = self.wanted.load(Ordering::Acquire);
            if filled.is_ok() && seen > 1 && !self.member.stopping.is_cancelled() {
                self.wanted.fetch_sub(seen - 1, Ordering::AcqRel);
                filled = self.fill_if_low().await;
            } else if self.wanted.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return filled;
            }
        }
    }

    async fn fill_if_low(&self) -> Result<(), Error> {
        if self.is_low().await? { self.fill().await } else { Ok(()) }
    }

    async fn fill(&self) -> Result<(), Error> {
        let Self { member, queue, .. } = self;
        while !member.handoff.lock_fill(queue, FILL_LOCK).await? {
            // Somebody fills, or has just done so. If that was not enough, nobody may come by to notice: all wait for hints.
            tokio::select! {
                biased;
                () = sleep(FILL_LOOK) => {}
                () = member.stopping.cancelled() => return Ok(()),
            }
            if !self.is_low().await? {
                return Ok(());
            }
        }
        let filled = self.extend_or_fill().await;
        member.handoff.unlock_fill(queue).await?;
        filled
    }

    async fn extend_or_fill(&self) -> Result<(), Error> {
        let (store, handoff) = (&*self.member.store, &*self.member.handoff);
        if extend_head(store, handoff, &self.queue, handoff.head_max()).await?.is_none() {
            fill_head(store, handoff, &self.queue, handoff.head_max()).await?;
        }
        Ok(())
    }

    /// As a claim would find it.
    async fn is_low(&self) -> Result<bool, Error> {
        let head = self.member.handoff.stats(&self.queue).await?;
        Ok(head.overflow && head.ready * 2 < u64::from(self.member.handoff.head_max()))
    }
}
