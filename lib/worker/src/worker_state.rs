//! What the parts of one worker share.

use crate::{
    awaited::Awaited,
    capacity::Capacity,
    capacity::PREFETCH_MAX,
    counters::Counters,
    handler::Handlers,
    health::Health,
    jitter::Jitter,
    many_queues::ManyQueues,
    measures::Measures,
    runs::{Ended, Runs},
    settings::Settings,
    shortage::Shortage,
};
use leasehold_core::{Kind, QueueName, WorkerId};
use leasehold_ports::Pulse;
use leasehold_ports::{Kinds, WorkerHead, WorkerStore};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU32},
};
use tokio::sync::{Notify, RwLock, RwLockReadGuard, SemaphorePermit, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the parts of one worker share.
pub(crate) struct WorkerState {
    pub(crate) id: WorkerId,
    pub(crate) store: Arc<dyn WorkerStore>,
    pub(crate) handoff: Arc<dyn WorkerHead>,
    pub(crate) jitter: Jitter,
    pub(crate) settings: Settings,
    pub(crate) handlers: Handlers,
    pub(crate) kinds: Kinds,
    /// By queue, in the order of the settings.
    pub(crate) capacity: Vec<(QueueName, Arc<Capacity>)>,
    pub(crate) runs: Runs,
    pub(crate) counters: Counters,
    pub(crate) measures: Measures,
    /// The pulse of the heartbeat: without a heartbeat, leases run out.
    pub(crate) pulse: Pulse,
    pub(crate) unanswered: Unanswered,
    pub(crate) shortage: Arc<Shortage>,
    /// Clients wait for jobs.
    pub(crate) awaited: Awaited,
    /// A run has reported progress.
    pub(crate) reports: Arc<Notify>,
    /// Tells runs that end that reports in flight were answered.
    pub(crate) reports_answered: Notify,
    pub(crate) redis: Health,
    pub(crate) postgres: Health,
    /// `None`: this worker has only a few queues.
    pub(crate) many_queues: Option<ManyQueues>,
    /// Wakes the loop of a queue: hints of a kind that this worker serves were set aside there.
    pub(crate) wakeups: HashMap<QueueName, Notify>,
    /// Carries runs whose handlers have ended to the settler. Bounded by the number of jobs that the worker may hold.
    pub(crate) ended: mpsc::Sender<Ended>,
    /// No new work is taken.
    pub(crate) stopping: CancellationToken,
    /// The runs.
    pub(crate) attempts: TaskTracker,
    /// Short tasks that a stop waits for.
    pub(crate) background: TaskTracker,
}

impl WorkerState {
    pub(crate) fn new(
        store: Arc<dyn WorkerStore>,
        handoff: Arc<dyn WorkerHead>,
        settings: Settings,
        handlers: Handlers,
    ) -> (Self, mpsc::Receiver<Ended>) {
        let capacity: usize = settings.queues.iter().map(|(_, slots)| *slots as usize + PREFETCH_MAX).sum();
        let (ended, receiver) = mpsc::channel(capacity.max(1));
        let shortage = Arc::new(Shortage::default());
        let state = Self {
            id: WorkerId::new(),
            kinds: handlers.kinds(),
            runs: Runs::new(settings.lease, settings.handoff_lease()),
            counters: Counters::default(),
            measures: Measures::new(settings.queues.iter().map(|(queue, _)| queue)),
            pulse: Pulse::default(),
            capacity: settings
                .queues
                .iter()
                .map(|(queue, slots)| (queue.clone(), Capacity::new(*slots, Arc::clone(&shortage))))
                .collect(),
            shortage,
            unanswered: Unanswered::default(),
            awaited: Awaited::default(),
            reports: Arc::default(),
            reports_answered: Notify::new(),
            redis: Health::new("Redis", "jobs are claimed from the line in PostgreSQL until Redis is available again"),
            postgres: Health::new(
                "PostgreSQL",
                "no jobs are claimed, and results are kept in memory until PostgreSQL is available again",
            ),
            many_queues: {
                let queues: Vec<QueueName> = settings.queues.iter().map(|(queue, _)| queue.clone()).collect();
                ManyQueues::of(&queues)
            },
            wakeups: settings.queues.iter().map(|(queue, _)| (queue.clone(), Notify::new())).collect(),
            ended,
            stopping: CancellationToken::new(),
            attempts: TaskTracker::new(),
            background: TaskTracker::new(),
            jitter: Jitter::new(),
            store,
            handoff,
            settings,
            handlers,
        };
        (state, receiver)
    }

    /// The turn of a queue to talk to a store, in a worker with many queues.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match &self.many_queues {
            Some(many) => many.turn().await,
            None => None,
        }
    }

    /// The kinds by name; `None` is every kind.
    pub(crate) fn named_kinds(&self) -> Option<&[Kind]> {
        match &self.kinds {
            Kinds::All => None,
            Kinds::Only(kinds) => Some(kinds),
        }
    }
}

/// The unanswered claims of this worker.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// Read-locked by claims, write-locked by the question which runs are held.
    pub(crate) claiming: RwLock<()>,
    /// The number of unanswered claims that were not checked yet; above zero, a check is in progress.
    pub(crate) count: AtomicU32,
}

impl Unanswered {
    /// Hold this guard from before a claim is sent until its runs are known.
    pub(crate) async fn claiming(&self) -> RwLockReadGuard<'_, ()> {
        self.claiming.read().await
    }
}
