//! The real workers and the real reapers of a run. Each is a process that can get faults.

use crate::{
    process::{Process, Surroundings, Wire},
    weather::Server,
    work::{Book, Doer},
};
use leasehold_core::{Backoff, Kind, QueueName, State, WorkerId};
use leasehold_reaper::Reaper;
use leasehold_tests::{MemoryHead, MemoryStore, Row};
use leasehold_worker::{Handlers, Settings, Tally, Worker};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The queues, slots and kinds of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) queues: Vec<(QueueName, u32)>,
    /// `None` means every kind.
    pub(crate) kinds: Option<Vec<Kind>>,
}

/// Times and bounds of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) lease: Duration,
    pub(crate) tick: Duration,
    pub(crate) grace: Duration,
    pub(crate) head_max: u32,
}

/// A running worker or reaper.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) process: Arc<Process>,
    /// Of a worker.
    pub(crate) role: Option<Role>,
    pub(crate) stop: CancellationToken,
    pub(crate) stop_now: CancellationToken,
}

/// A worker that was asked to stop and has stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) name: String,
    /// No fault hit the worker or its calls from one lease before the stop until its end.
    pub(crate) was_well: bool,
    /// The worker left runs behind that still name it.
    pub(crate) left_running: usize,
    pub(crate) tally: Tally,
}

/// All processes of the fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) book: Arc<Book>,
    pub(crate) store: MemoryStore,
    pub(crate) head: MemoryHead,
    pub(crate) times: Times,
    pub(crate) members: Vec<Member>,
    pub(crate) stopped: Arc<Mutex<Vec<Stopped>>>,
    pub(crate) started: u32,
}

impl Fleet {
    fn process(&mut self, what: &str) -> (Arc<Process>, MemoryStore, MemoryHead) {
        self.started += 1;
        let process = Process::start(format!("{what} {}", self.started), &self.around);
        let wire = |place| Arc::new(Wire { process: Arc::clone(&process), place });
        let store = self.store.by(wire(Server::Postgres));
        let head = self.head.by(wire(Server::Redis));
        self.around.trace.line(&process.name, &"starts");
        (process, store, head)
    }

    pub(crate) fn start_worker(&mut self, role: &Role) {
        let (process, store, head) = self.process("worker");
        let doer = Arc::new(Doer {
            process: Arc::clone(&process),
            book: Arc::clone(&self.book),
            around: Arc::clone(&self.around),
            store: self.store.clone(),
            lease: self.times.lease,
        });
        let mut handlers = Handlers::new();
        match &role.kinds {
            None => handlers.insert_any(doer),
            Some(kinds) => kinds.iter().for_each(|kind| handlers.insert(kind.clone(), doer.clone())),
        }
        let settings = Settings {
            queues: role.queues.clone(),
            lease: self.times.lease,
            grace: self.times.grace,
            backoff: Backoff::exponential(Duration::from_millis(100), Duration::from_millis(800)),
        };
        let worker = Worker::new(store, head, settings, handlers).seeded(self.around.dice.seed());
        let (id, stop, stop_now) = (worker.id(), CancellationToken::new(), CancellationToken::new());
        let ended = worker.run(stop.clone(), stop_now.clone());
        let (around, store, stopped) = (Arc::clone(&self.around), self.store.clone(), Arc::clone(&self.stopped));
        let lease = self.times.lease;
        let watch = Watch {
            process: Arc::clone(&process),
            id,
            stop: stop.clone(),
            stop_now: stop_now.clone(),
            around,
            store,
            stopped,
            lease,
        };
        tokio::spawn(watch.until_ended(ended));
        self.members.push(Member { process, role: Some(role.clone()), stop, stop_now });
    }

    pub(crate) fn start_reaper(&mut self) {
        let (process, store, head) = self.process("reaper");
        let settings = leasehold_reaper::Settings {
            tick: self.times.tick,
            head_max: self.times.head_max,
            handoff_lease: leasehold_reaper::HANDOFF_LEASE.min(self.times.lease),
            lease: self.times.lease,
            keep_finished: Duration::from_secs(3600),
        };
        let stop = CancellationToken::new();
        tokio::spawn(Reaper::new(store, head, settings).run(stop.clone()));
        self.members.push(Member { process, role: None, stop, stop_now: CancellationToken::new() });
    }

    pub(crate) fn stopped(&self) -> MutexGuard<'_, Vec<Stopped>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes that are neither dead nor asked to stop.
    pub(crate) fn at_work(&self, workers: bool) -> Vec<usize> {
        let is_one = |member: &Member| member.role.is_some() == workers;
        let at_work = |member: &Member| !member.process.is_dead() && !member.stop.is_cancelled();
        let all = self.members.iter().enumerate();
        all.filter(|(_, member)| is_one(member) && at_work(member)).map(|(nth, _)| nth).collect()
    }
}

/// Runs a worker until its end.
struct Watch {
    process: Arc<Process>,
    id: WorkerId,
    stop: CancellationToken,
    stop_now: CancellationToken,
    around: Arc<Surroundings>,
    store: MemoryStore,
    stopped: Arc<Mutex<Vec<Stopped>>>,
    lease: Duration,
}

impl Watch {
    /// Records how the worker ended.
    async fn until_ended(self, ended: impl Future<Output = Tally>) {
        let asked = async {
            self.stop.cancelled().await;
            Instant::now()
        };
        let (asked_at, tally) = tokio::join!(asked, ended);
        // A dead worker makes no last step.
        self.process.awake().await;
        let left_running = {
            let rows = self.store.rows();
            let is_its = |row: &&Row| row.life.state == State::Running && row.life.worker == Some(self.id);
            // Runs with locked rows do not count: the worker left their ends for the reaper.
            let is_left = |row: &&Row| row.life.fence().is_none_or(|fence| !rows.deferred.contains_key(&fence));
            rows.live.values().filter(is_its).filter(is_left).count()
        };
        self.around.trace.line(&self.process.name, &"has stopped");
        let well_from = asked_at.checked_sub(self.lease).unwrap_or(asked_at);
        let was_well = !self.stop_now.is_cancelled() && self.process.was_well_since(well_from);
        let ended = Stopped { name: self.process.name.clone(), was_well, left_running, tally };
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
    }
}
