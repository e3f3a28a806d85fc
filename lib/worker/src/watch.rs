//! The counters, slots and pulse of a worker, for observers outside of the worker.

use crate::{
    counters::Tally,
    measures::{CallReading, QueueReading},
    worker_state::WorkerState,
};
use leasehold_core::QueueName;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// A view of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Watch(Arc<WorkerState>);

/// The slots of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Jobs that may run at the same time.
    pub all: usize,
    /// Free slots.
    pub free: usize,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.id).finish()
    }
}

impl Watch {
    pub(crate) const fn new(state: Arc<WorkerState>) -> Self {
        Self(state)
    }

    /// The counters of the worker.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.counters.tally()
    }

    /// Whether the worker was told to stop, and takes no more work.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    /// What the worker lacks to run its jobs, as the end of a sentence that begins with `it lacks`.
    #[must_use]
    pub fn lack(&self) -> Option<String> {
        self.0.shortage.what()
    }

    /// Jobs that the worker holds, from claim to settle.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.runs.len()
    }

    /// The slots of the worker by queue.
    #[must_use]
    pub fn slots(&self) -> BTreeMap<QueueName, Slots> {
        let mut slots = BTreeMap::<QueueName, Slots>::new();
        for (queue, capacity) in &self.0.capacity {
            let (all, free) = capacity.slots();
            let of_queue = slots.entry(queue.clone()).or_default();
            of_queue.all += all;
            of_queue.free += free;
        }
        slots
    }

    /// The queues, in the order of the settings.
    pub fn queues(&self) -> impl Iterator<Item = &QueueName> {
        self.0.settings.queues.iter().map(|(queue, _)| queue)
    }

    /// How long the jobs of a queue waited and ran; `None` for a queue of which this worker runs nothing.
    #[must_use]
    pub fn of_queue(&self, queue: &QueueName) -> Option<QueueReading> {
        self.0.measures.of_queue(queue)
    }

    /// The claims that PostgreSQL has answered.
    #[must_use]
    pub fn claims(&self) -> CallReading {
        self.0.measures.claims.read()
    }

    /// The writes of results that PostgreSQL has answered.
    #[must_use]
    pub fn settles(&self) -> CallReading {
        self.0.measures.settles.read()
    }

    /// How long ago the heartbeat last ran. A slow store delays the heartbeat, but never for longer than the timeout of
    /// a call to the store.
    #[must_use]
    pub fn since_progress(&self) -> Duration {
        self.0.pulse.since()
    }
}
