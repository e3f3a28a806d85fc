//! The head in memory, and what tests do to it by hand: always to the default queue.

use crate::words::{HEAD_MAX, SOON, queue};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Error, Filled, FindHints, HearEnds, Hint, ListWorkers, ReaperHead, WorkerHead};
use leasehold_tests::{Clock, Keys, MemoryHead, QueueKeys, eventually};
use std::ops::Deref;

/// A separate head.
pub(crate) struct Server(MemoryHead);

/// The way to it.
#[derive(Clone)]
pub(crate) struct Handoff(MemoryHead);

/// All that the suite asks of a head.
pub(crate) trait All: WorkerHead + ReaperHead + ListWorkers + FindHints + HearEnds {}

impl All for MemoryHead {}

impl Deref for Handoff {
    type Target = dyn All;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Handoff {
    pub(crate) async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.0.queues().await
    }

    pub(crate) async fn fill(
        &self,
        queue: &QueueName,
        hints: &[Hint],
        more: bool,
        to: Option<&str>,
    ) -> Result<Filled, Error> {
        self.0.fill(queue, hints, more, to).await
    }
}

pub(crate) async fn connect(server: &Server) -> Handoff {
    Handoff(server.0.clone())
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self(MemoryHead::new(Clock::start(), HEAD_MAX, None))
    }

    fn by_hand(&self, work: impl FnOnce(&mut QueueKeys)) {
        self.0.damage(|keys| work(keys.queues.entry(queue()).or_default()));
    }

    /// Takes the first hint as a blocking take does.
    pub(crate) async fn take_by_hand(&self) {
        self.by_hand(|keys| keys.claimed.extend(keys.ready.pop_front()));
    }

    pub(crate) async fn lose_list(&self) {
        self.by_hand(|keys| keys.ready.clear());
    }

    pub(crate) async fn lose_set(&self) {
        self.by_hand(|keys| keys.leases.clear());
    }

    pub(crate) async fn repeat_at_front(&self, id: JobId) {
        self.by_hand(|keys| keys.ready.push_front(id));
    }

    pub(crate) async fn lose_everything(&self) {
        self.0.damage(|keys| *keys = Keys::default());
    }

    /// Until so many takes wait.
    pub(crate) async fn until_waiting(&self, wanted: u32) {
        let look = || async {
            let waiting = self.0.waiting();
            if waiting == wanted as usize { Ok(()) } else { Err(waiting) }
        };
        eventually(&format!("{wanted} takes wait"), SOON, look).await;
    }
}
