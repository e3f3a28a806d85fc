//! A claim that waits, and the claims of a lane in groups: claims for the same kinds are one group.

use super::handover::HandedOver;
use crate::{errors::Problem, turns::Turn};
use leasehold_core::{BATCH_MAX, JobId, WorkerId};
use leasehold_ports::Kinds;
use leasehold_store::{HttpClaim, HttpRun};
use std::collections::VecDeque;
use tokio::{sync::oneshot, time::Instant};

/// The answer to a claim.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) runs: Vec<HttpRun>,
    /// Releases the runs, unless the client gets the answer. `None` without runs.
    pub(crate) handed_over: Option<HandedOver>,
}

impl Claimed {
    pub(crate) const fn nothing() -> Self {
        Self { runs: Vec::new(), handed_over: None }
    }
}

/// A waiting claim.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) claim: HttpClaim,
    /// The most bytes of payloads in the answer, which has at least one job.
    pub(crate) max_bytes: usize,
    /// When the claim is answered without a job, if it was tried before.
    pub(crate) until: Instant,
    pub(crate) is_tried: bool,
    pub(crate) reply: oneshot::Sender<Result<Claimed, Problem>>,
    /// The turn of a claim that its client has named. It ends with the answer: then its runs are handed over.
    pub(crate) turn: Option<Turn>,
}

impl Waiter {
    /// Whether the client has stopped waiting.
    pub(crate) fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn answer(self, answer: Result<Claimed, Problem>) {
        // If the client has disconnected, the answer is dropped, and its runs are released.
        drop(self.reply.send(answer));
    }

    fn is_same_claim(&self, other: &HttpClaim) -> bool {
        self.claim.worker == other.worker && self.claim.claim_id == other.claim_id
    }
}

/// The claims of a lane that wait for the same kinds.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) kinds: Kinds,
    pub(crate) waiters: VecDeque<Waiter>,
    /// Hints for this group, leased in Redis.
    pub(crate) ids: Vec<JobId>,
}

impl Group {
    /// How many jobs all of its claims ask for; no more than one batch.
    pub(crate) fn wanted(&self) -> usize {
        self.waiters.iter().map(|waiter| waiter.claim.limit).sum::<usize>().min(BATCH_MAX)
    }
}

/// The groups of a lane, in the order of their first claims.
#[derive(Debug, Default)]
pub(crate) struct Groups(pub(crate) Vec<Group>);

impl Groups {
    /// Adds a claim behind the others. A claim that is sent again replaces the waiting claim, because its client has given up the
    /// earlier request.
    pub(crate) fn add(&mut self, waiter: Waiter) {
        for group in &mut self.0 {
            if let Some(place) = group.waiters.iter().position(|earlier| earlier.is_same_claim(&waiter.claim))
                && let Some(earlier) = group.waiters.remove(place)
            {
                earlier.answer(Ok(Claimed::nothing()));
            }
        }
        match self.0.iter_mut().find(|group| group.kinds == waiter.claim.kinds) {
            Some(group) => group.waiters.push_back(waiter),
            None => {
                let (kinds, waiters) = (waiter.claim.kinds.clone(), VecDeque::from([waiter]));
                self.0.push(Group { kinds, waiters, ids: Vec::new() });
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|group| group.waiters.is_empty())
    }

    /// Removes claims whose clients have disconnected. Answers claims whose time has passed, and claims of drained workers.
    /// Returns the hints that no claim needs any more.
    pub(crate) fn tidy(&mut self, is_drained: impl Fn(WorkerId) -> bool) -> Vec<JobId> {
        let now = Instant::now();
        let mut unused = Vec::new();
        for group in &mut self.0 {
            for waiter in std::mem::take(&mut group.waiters) {
                if waiter.is_gone() {
                    continue;
                }
                if waiter.is_tried && waiter.until <= now || is_drained(waiter.claim.worker) {
                    waiter.answer(Ok(Claimed::nothing()));
                } else {
                    group.waiters.push_back(waiter);
                }
            }
            if group.waiters.is_empty() {
                unused.append(&mut group.ids);
            }
        }
        self.0.retain(|group| !group.waiters.is_empty());
        unused
    }

    /// When the next claim must be answered without a job.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.0.iter().flat_map(|group| &group.waiters).map(|waiter| waiter.until).min()
    }

    /// Answers every claim. Returns the hints of the lane.
    pub(crate) fn answer_all(&mut self) -> Vec<JobId> {
        let mut unused = Vec::new();
        for group in std::mem::take(&mut self.0) {
            unused.extend(group.ids);
            group.waiters.into_iter().for_each(|waiter| waiter.answer(Ok(Claimed::nothing())));
        }
        unused
    }
}
