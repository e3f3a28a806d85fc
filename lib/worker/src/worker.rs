//! Puts the parts of a worker together and stops them in order.

use crate::{
    counters::Tally, handler::Handlers, handler::STOP_TIMEOUT, heartbeat, jitter::Jitter, many_queues, notices,
    progress, queue_loop::QueueLoop, registry, runs::Ended, settings::Settings, settled_hints, settler::Settler,
    watch::Watch, worker_state::WorkerState,
};
use leasehold_core::WorkerId;
use leasehold_ports::{WorkerHead, WorkerStore};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a stopping worker whose runs have all ended waits for its last writes, while PostgreSQL answers other calls.
const WAIT_FOR_WRITES: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// A worker process.
pub struct Worker {
    state: Arc<WorkerState>,
    ended: mpsc::Receiver<Ended>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.state.id).field("settings", &self.state.settings).finish()
    }
}

impl Worker {
    /// A worker with a new id.
    #[must_use]
    pub fn new(
        store: impl Into<Arc<dyn WorkerStore>>,
        handoff: impl Into<Arc<dyn WorkerHead>>,
        settings: Settings,
        handlers: Handlers,
    ) -> Self {
        let (state, ended) = WorkerState::new(store.into(), handoff.into(), settings, handlers);
        Self { state: Arc::new(state), ended }
    }

    /// Takes the jitter of waits and retries from this seed, so that a test can repeat a run exactly. Call this before
    /// [`Worker::watch`].
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.jitter = Jitter::seeded(seed);
        }
        self
    }

    /// The id of the worker.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.state.id
    }

    /// A view of the worker, for use while it runs.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.state))
    }

    /// Runs until `stop` is cancelled. Then lets handlers finish during the grace, releases the other jobs, and returns
    /// the counters of the worker. `stop_now` skips the grace (a second signal).
    pub async fn run(self, stop: CancellationToken, stop_now: CancellationToken) -> Tally {
        let running = Running::start(self.state, self.ended);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = stop_now.cancelled() => {}
        }
        running.stop(stop_now).await
    }
}

/// The running parts of a worker. If this value is dropped early, the worker takes no more work, and the leases of its
/// runs run out.
struct Running {
    state: Arc<WorkerState>,
    loops: JoinSet<()>,
    settler: JoinHandle<usize>,
    disposer: JoinHandle<()>,
    /// Heartbeat, registry and notices. They are needed until the last result is written.
    attendants: TaskTracker,
    last: CancellationToken,
    give_up: CancellationToken,
    done: CancellationToken,
    _taking: tokio_util::sync::DropGuard,
    _attending: tokio_util::sync::DropGuard,
}

impl Running {
    fn start(state: Arc<WorkerState>, ended: mpsc::Receiver<Ended>) -> Self {
        let (last, give_up, done) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (hints_sender, hints_receiver) = mpsc::unbounded_channel();
        let settler =
            Settler { state: Arc::clone(&state), hints: hints_sender, last: last.clone(), give_up: give_up.clone() };
        let attendants = TaskTracker::new();
        attendants.spawn(registry::announce(Arc::clone(&state), done.clone()));
        attendants.spawn(heartbeat::beat(Arc::clone(&state), done.clone()));
        attendants.spawn(progress::write_reports(Arc::clone(&state), done.clone()));
        attendants.spawn(notices::hear(Arc::clone(&state), done.clone()));
        let mut loops = JoinSet::new();
        loops.spawn(many_queues::listen(Arc::clone(&state)));
        for (queue, capacity) in &state.capacity {
            loops.spawn(QueueLoop::new(Arc::clone(&state), queue.clone(), Arc::clone(capacity)).run());
        }
        Self {
            settler: tokio::spawn(settler.run(ended)),
            disposer: tokio::spawn(settled_hints::dispose(Arc::clone(&state), hints_receiver)),
            _taking: state.stopping.clone().drop_guard(),
            _attending: done.clone().drop_guard(),
            attendants,
            loops,
            last,
            give_up,
            done,
            state,
        }
    }

    /// The stop in order: take no more work; wait for the grace; tell handlers to stop; write results; give hints back;
    /// withdraw the announcement.
    async fn stop(mut self, stop_now: CancellationToken) -> Tally {
        let state = &self.state;
        tracing::info!(running = state.runs.len(), "stopping: no more work is taken");
        state.stopping.cancel();
        while self.loops.join_next().await.is_some() {}

        state.attempts.close();
        tokio::select! {
            biased;
            () = state.attempts.wait() => {}
            () = sleep(state.settings.grace) => {}
            () = stop_now.cancelled() => {}
        }
        state.runs.stop_all();

        // While PostgreSQL is unavailable, the worker keeps results until their leases must have run out, unless a
        // second signal comes. If PostgreSQL answers and does not write them, a table is locked: then the worker leaves them for the
        // reaper.
        let patience = tokio::spawn({
            let (give_up, last, lease) = (self.give_up.clone(), self.last.clone(), state.settings.lease);
            let state = Arc::clone(state);
            let answers = async move {
                last.cancelled().await;
                sleep(WAIT_FOR_WRITES).await;
                while state.store.ping().await.is_err() {
                    sleep(PING_INTERVAL).await;
                }
            };
            async move {
                tokio::select! {
                    biased;
                    () = sleep(lease) => {}
                    () = answers => {}
                    () = async { stop_now.cancelled().await; sleep(STOP_TIMEOUT).await } => {}
                }
                give_up.cancel();
            }
        });
        state.attempts.wait().await;
        self.last.cancel();
        let unwritten = self.settler.await.unwrap_or(0);
        patience.abort();
        state.counters.unwritten.add(unwritten);
        if unwritten > 0 {
            tracing::warn!(unwritten, "results could not be written; their jobs run again when the leases run out");
        }
        let deferred = state.counters.tally().deferred;
        if deferred > 0 {
            tracing::warn!(
                deferred,
                "other transactions hold locks on jobs that ran here; the reaper writes their results when the locks are gone"
            );
        }

        let _ = self.disposer.await;
        state.background.close();
        state.background.wait().await;
        self.done.cancel();
        self.attendants.close();
        self.attendants.wait().await;
        state.counters.tally()
    }
}
