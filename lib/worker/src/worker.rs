//! Puts the parts of a worker together and stops them in order.

use crate::{
    chance::Chance,
    counters::Tally,
    handler::Handlers,
    handler::STOP_MOMENT,
    heartbeat, hints,
    member::Member,
    notices,
    queue_loop::QueueLoop,
    registry,
    settings::Settings,
    settler::{Ended, Settler},
    watch::Watch,
};
use leasehold_core::WorkerId;
use leasehold_handoff::Head;
use leasehold_store::Authority;
use std::sync::Arc;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A worker process.
pub struct Worker {
    member: Arc<Member>,
    ended: mpsc::Receiver<Ended>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.member.id).field("settings", &self.member.settings).finish()
    }
}

impl Worker {
    /// A worker with a new id.
    #[must_use]
    pub fn new(
        store: impl Into<Arc<dyn Authority>>,
        handoff: impl Into<Arc<dyn Head>>,
        settings: Settings,
        handlers: Handlers,
    ) -> Self {
        let (member, ended) = Member::new(store.into(), handoff.into(), settings, handlers);
        Self { member: Arc::new(member), ended }
    }

    /// Spreads its waits and retries by this seed, so that a test can have the same run again. Before anybody watches it.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        if let Some(member) = Arc::get_mut(&mut self.member) {
            member.chance = Chance::seeded(seed);
        }
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.member.id
    }

    /// A view of what it does, for while it runs.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.member))
    }

    /// Runs until `stop` is cancelled, then lets handlers finish for the grace time, releases the rest, and returns what it
    /// did. `stop_now` skips the grace (a second signal).
    pub async fn run(self, stop: CancellationToken, stop_now: CancellationToken) -> Tally {
        let running = Running::start(self.member, self.ended);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = stop_now.cancelled() => {}
        }
        running.stop(stop_now).await
    }
}

/// The parts of a worker at work. Dropped half-way, it takes no more work, and what it holds is left to run out.
struct Running {
    member: Arc<Member>,
    loops: JoinSet<()>,
    settler: JoinHandle<usize>,
    disposer: JoinHandle<()>,
    /// Heartbeat, registry and notices: wanted until the last result is written.
    attendants: TaskTracker,
    last: CancellationToken,
    give_up: CancellationToken,
    done: CancellationToken,
    _taking: tokio_util::sync::DropGuard,
    _attending: tokio_util::sync::DropGuard,
}

impl Running {
    fn start(member: Arc<Member>, ended: mpsc::Receiver<Ended>) -> Self {
        let (last, give_up, done) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (hints_sender, settled_hints) = mpsc::unbounded_channel();
        let settler =
            Settler { member: Arc::clone(&member), hints: hints_sender, last: last.clone(), give_up: give_up.clone() };
        let attendants = TaskTracker::new();
        attendants.spawn(registry::announce(Arc::clone(&member), done.clone()));
        attendants.spawn(heartbeat::beat(Arc::clone(&member), done.clone()));
        attendants.spawn(notices::hear(Arc::clone(&member), done.clone()));
        let mut loops = JoinSet::new();
        for (queue, places) in &member.places {
            loops.spawn(QueueLoop::new(Arc::clone(&member), queue.clone(), Arc::clone(places)).run());
        }
        Self {
            settler: tokio::spawn(settler.run(ended)),
            disposer: tokio::spawn(hints::dispose(Arc::clone(&member), settled_hints)),
            _taking: member.stopping.clone().drop_guard(),
            _attending: done.clone().drop_guard(),
            attendants,
            loops,
            last,
            give_up,
            done,
            member,
        }
    }

    /// No more work; the grace; the word to stop; results written; hints given back; the announcement taken back.
    async fn stop(mut self, stop_now: CancellationToken) -> Tally {
        let member = &self.member;
        tracing::info!(running = member.runs.len(), "stopping: no more work is taken");
        member.stopping.cancel();
        while self.loops.join_next().await.is_some() {}

        member.attempts.close();
        tokio::select! {
            biased;
            () = member.attempts.wait() => {}
            () = sleep(member.settings.grace) => {}
            () = stop_now.cancelled() => {}
        }
        member.runs.stop_all();

        // With PostgreSQL away, results are held for as long as their leases may stand, unless there is no time for it.
        let patience = tokio::spawn({
            let (give_up, lease) = (self.give_up.clone(), member.settings.lease);
            async move {
                tokio::select! {
                    biased;
                    () = sleep(lease) => {}
                    () = async { stop_now.cancelled().await; sleep(STOP_MOMENT).await } => {}
                }
                give_up.cancel();
            }
        });
        member.attempts.wait().await;
        self.last.cancel();
        let unwritten = self.settler.await.unwrap_or(0);
        patience.abort();
        member.counters.unwritten.add(unwritten);
        if unwritten > 0 {
            tracing::warn!(unwritten, "results could not be written; their jobs run again when the leases run out");
        }
        let deferred = member.counters.tally().deferred;
        if deferred > 0 {
            tracing::warn!(
                deferred,
                "other transactions hold locks on jobs that ran here; the reaper writes their results when the locks are gone"
            );
        }

        let _ = self.disposer.await;
        member.errands.close();
        member.errands.wait().await;
        self.done.cancel();
        self.attendants.close();
        self.attendants.wait().await;
        member.counters.tally()
    }
}
