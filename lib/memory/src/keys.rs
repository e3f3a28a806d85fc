//! The keys of Redis, and the connections that wait there.

use crate::{broken::Broken, clock::Clock, link::Link};
use leasehold_core::{JobId, Kind, QueueName, WorkerId};
use leasehold_ports::{Notice, WorkerRecord};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// All keys. A clone is a backup: putting it back later makes a stale replica.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the keys of lua/README.md")]
pub struct Keys {
    pub queues: BTreeMap<QueueName, QueueKeys>,
    pub noted: BTreeSet<QueueName>,
    pub generation: Option<String>,
    /// Each worker, and the time until which its record is valid. Like all deadlines here, this time is in ms of the clock.
    pub workers: BTreeMap<WorkerId, (WorkerRecord, i64)>,
    pub reapers: BTreeMap<Uuid, i64>,
}

/// A connection that listens for messages.
type Listener<T> = (mpsc::Sender<T>, Arc<dyn Link>);

/// The score of a hint in `leases`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The hint waits, at this position of its line: in 0.1 ms since 1970.
    Waits(i64),
    /// The hint is leased until this time.
    Leased(i64),
}

/// A value before every position: the position of a hint without a known position, and the reach of a head that takes no
/// hints.
pub const NOWHERE: i64 = -(1 << 51);

/// The readings of a line for fills, and what happened during each.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// How often the line was read.
    pub n: u64,
    /// The lowest position that the head refused.
    pub refused: BTreeMap<u64, i64>,
    /// The hints that came into the head. Redis stores only some of them, about 64 ids.
    pub kept: BTreeMap<u64, BTreeSet<JobId>>,
    /// The last reading during which waiting hints were moved; 0: none.
    pub placed: u64,
}

/// The keys of one queue.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the keys of lua/README.md")]
pub struct QueueKeys {
    pub ready: VecDeque<JobId>,
    pub claimed: VecDeque<JobId>,
    pub aside: BTreeMap<Kind, VecDeque<JobId>>,
    pub asides: BTreeSet<Kind>,
    pub leases: BTreeMap<JobId, Score>,
    pub paused: bool,
    /// The position to which the head reaches, if the line is longer.
    pub overflow: Option<i64>,
    /// The kinds that workers serve, each with its deadline; an empty text means every kind.
    pub kinds: BTreeMap<String, i64>,
    /// When workers last served each kind; `None` stands for every kind.
    pub served: BTreeMap<Option<Kind>, i64>,
    pub bell: bool,
    pub fill_lock_until: Option<i64>,
    pub readings: Readings,
    /// The position up to which the head was filled, and how long this is known.
    pub filled: Option<(String, i64)>,
    /// The shared scan start of the line, and how long other processes use it.
    pub scan_start: Option<(String, i64)>,
}

/// The server: its keys, and its waiting connections.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) keys: Keys,
    pub(crate) head_max: u32,
    pub(crate) clock: Clock,
    pub(crate) broken: Option<Broken>,
    pub(crate) generations: u64,
    /// How often notable events happened.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    waiters: VecDeque<Waiter>,
    waiters_so_far: u64,
    listeners: Vec<Listener<Notice>>,
    /// Connections that listen for ended jobs.
    end_listeners: Vec<Listener<Vec<JobId>>>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    queues: Vec<QueueName>,
    link: Arc<dyn Link>,
    awaited: Awaited,
    answer: oneshot::Sender<Option<Served>>,
}

/// The key that a connection waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// `BLMOVE ready claimed LEFT RIGHT`
    Hint,
    /// `BLPOP bell`
    Bell,
}

/// The answer to a wait.
#[derive(Clone, Debug)]
pub(crate) enum Served {
    Hint(JobId),
    Bell(QueueName),
}

impl QueueKeys {
    fn serve(&mut self, awaited: Awaited, queue: &QueueName) -> Option<Served> {
        match awaited {
            Awaited::Hint => {
                let id = self.ready.pop_front()?;
                self.claimed.push_back(id);
                Some(Served::Hint(id))
            }
            Awaited::Bell => std::mem::take(&mut self.bell).then(|| Served::Bell(queue.clone())),
        }
    }
}

impl Server {
    pub(crate) fn new(clock: Clock, head_max: u32, broken: Option<Broken>) -> Self {
        Self {
            keys: Keys::default(),
            head_max,
            clock,
            broken,
            generations: 0,
            counts: BTreeMap::new(),
            waiters: VecDeque::new(),
            waiters_so_far: 0,
            listeners: Vec::new(),
            end_listeners: Vec::new(),
        }
    }

    pub(crate) fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    pub(crate) fn count(&mut self, what: &'static str, happened: bool) {
        if happened {
            *self.counts.entry(what).or_default() += 1;
        }
    }

    /// The keys of a queue, to change them.
    pub(crate) fn of(&mut self, queue: &QueueName) -> &mut QueueKeys {
        self.keys.queues.entry(queue.clone()).or_default()
    }

    /// Makes a connection wait. Returns its number.
    pub(crate) fn wait(
        &mut self,
        queues: &[QueueName],
        awaited: Awaited,
        link: Arc<dyn Link>,
    ) -> (u64, oneshot::Receiver<Option<Served>>) {
        let (answer, answered) = oneshot::channel();
        self.waiters_so_far += 1;
        let number = self.waiters_so_far;
        self.waiters.push_back(Waiter { number, queues: queues.to_vec(), link, awaited, answer });
        self.serve();
        (number, answered)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Ends a wait without a hint. Returns whether the connection was waiting.
    pub(crate) fn unblock(&mut self, number: u64) -> bool {
        let Some(place) = self.waiters.iter().position(|waiter| waiter.number == number) else { return false };
        self.waiters.remove(place).is_some_and(|waiter| waiter.answer.send(None).is_ok())
    }

    /// Gives hints to the waiting connections, the longest wait first. Called after each command, as Redis does.
    pub(crate) fn serve(&mut self) {
        self.waiters.retain(|waiter| !waiter.link.is_gone());
        let mut place = 0;
        while place < self.waiters.len() {
            let Waiter { queues, awaited, .. } = &self.waiters[place];
            let all = &mut self.keys.queues;
            let Some(served) = queues.iter().find_map(|queue| all.get_mut(queue)?.serve(*awaited, queue)) else {
                place += 1;
                continue;
            };
            self.count("a hint was handed to one who waits", matches!(served, Served::Hint(_)));
            self.count("the bell rang for one who waits", matches!(served, Served::Bell(_)));
            if let Some(waiter) = self.waiters.remove(place) {
                // A connection that has just left leaves the hint in `claimed`.
                let _ = waiter.answer.send(Some(served));
            }
        }
    }

    pub(crate) fn listen(&mut self, listener: mpsc::Sender<Notice>, link: Arc<dyn Link>) {
        self.listeners.push((listener, link));
    }

    pub(crate) fn listen_to_ends(&mut self, listener: mpsc::Sender<Vec<JobId>>, link: Arc<dyn Link>) {
        self.end_listeners.push((listener, link));
    }

    /// Tells all connections that listen now that these jobs have ended.
    pub(crate) fn tell_ends(&mut self, ids: &[JobId]) {
        self.end_listeners.retain(|(listener, _)| !listener.is_closed());
        if ids.is_empty() {
            return;
        }
        for (listener, _) in self.end_listeners.iter().filter(|(_, link)| link.hears()) {
            let _ = listener.try_send(ids.to_vec());
        }
    }

    /// Sends a notice to all connections that listen now.
    pub(crate) fn say(&mut self, notice: &Notice) {
        self.listeners.retain(|(listener, _)| !listener.is_closed());
        for (listener, _) in self.listeners.iter().filter(|(_, link)| link.hears()) {
            let _ = listener.try_send(notice.clone());
        }
    }
}
