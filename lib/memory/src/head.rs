//! Redis in memory, from the view of one process.

use crate::{
    broken::Broken,
    clock::Clock,
    commands::{EVERY_KIND, aside_max, asides, push, served, until},
    keys::{Keys, Score, Server},
    link::{ConnectionLost, Direct, Link},
    scripts::{Mode, in_order},
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::{
    Class, Error, Hint, HintPlace, LastServed, Notice, Pushed, SERVED_REMEMBERED_FOR, Served, Taken, WorkerRecord,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

const BACKLOG: usize = 256;

leasehold_ports::delegate_head!(MemoryHead);

/// Redis in memory. Cheap to clone: all clones share one server.
#[derive(Clone, Debug)]
pub struct MemoryHead {
    pub(crate) server: Arc<Mutex<Server>>,
    pub(crate) link: Arc<dyn Link>,
}

impl MemoryHead {
    /// An empty server, with a connection that has no faults.
    #[must_use]
    pub fn new(clock: Clock, head_max: u32, broken: Option<Broken>) -> Self {
        Self { server: Arc::new(Mutex::new(Server::new(clock, head_max, broken))), link: Arc::new(Direct) }
    }

    /// The same server over another connection.
    #[must_use]
    pub fn by(&self, link: Arc<dyn Link>) -> Self {
        Self { server: Arc::clone(&self.server), link }
    }

    pub(crate) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys at this moment.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.server().keys.clone()
    }

    /// How often events happened that a test may want to have seen.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.server().counts.clone()
    }

    /// The number of waiting blocking takes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.server().waiting()
    }

    /// Changes keys by hand, in one command.
    pub fn damage(&self, work: impl FnOnce(&mut Keys)) {
        let mut server = self.server();
        work(&mut server.keys);
        server.serve();
    }

    pub(crate) fn lost(doing: &'static str) -> Error {
        Error::new("Redis", doing, Class::Transient, ConnectionLost { doing })
    }

    pub(crate) async fn call<T>(
        &self,
        verb: &'static str,
        work: impl FnOnce(&mut Server, i64) -> T,
    ) -> Result<T, Error> {
        self.link.there(verb).await.map_err(|_| Self::lost(verb))?;
        let answer = {
            let mut server = self.server();
            let now = server.clock.ms();
            let answer = work(&mut server, now);
            server.serve();
            answer
        };
        self.link.back(verb).await.map_err(|_| Self::lost(verb))?;
        Ok(answer)
    }
}

/// The calls of workers and reapers.
#[expect(missing_docs, reason = "each verb is described at the port of the same name")]
impl MemoryHead {
    pub fn head_max(&self) -> u32 {
        self.server().head_max
    }

    pub fn listen(&self) -> mpsc::Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.server().listen(sender, Arc::clone(&self.link));
        receiver
    }

    pub async fn with_hints(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error> {
        self.call("with_hints", |server, _| {
            let has_hints = |queue: &&QueueName| {
                let keys = server.keys.queues.get(*queue);
                keys.is_some_and(|keys| !keys.ready.is_empty() || !keys.aside.is_empty())
            };
            queues.iter().filter(has_hints).cloned().collect()
        })
        .await
    }

    pub async fn find_hint(&self, queue: &QueueName, id: JobId) -> Result<HintPlace, Error> {
        self.call("find_hint", |server, _| match server.of(queue).leases.get(&id) {
            None => HintPlace::Absent,
            Some(Score::Waits(_)) => HintPlace::Waiting,
            Some(Score::Leased(_)) => HintPlace::Leased,
        })
        .await
    }

    pub fn listen_to_ends(&self) -> mpsc::Receiver<Vec<JobId>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.server().listen_to_ends(sender, Arc::clone(&self.link));
        receiver
    }

    pub async fn tell_ends(&self, ids: &[JobId]) -> Result<(), Error> {
        self.call("tell_ends", |server, _| server.tell_ends(ids)).await
    }

    pub async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    pub async fn push(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error> {
        self.call("push", |server, _| push(server, queue, Mode::New, hints)).await
    }

    pub async fn place(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error> {
        self.call("place_hints", |server, _| push(server, queue, Mode::Place, hints)).await
    }

    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, Error> {
        self.call("workers", |server, now| {
            let live = server.keys.workers.values().filter(|(_, until)| *until > now);
            live.map(|(worker, _)| worker.clone()).collect()
        })
        .await
    }

    pub async fn notify(&self, notices: &[Notice]) -> Result<(), Error> {
        self.call("notify", |server, _| notices.iter().for_each(|notice| server.say(notice))).await
    }

    pub async fn take(
        &self,
        queue: &QueueName,
        adopt: &[JobId],
        kinds: &[Kind],
        limit: u32,
        lease: Duration,
    ) -> Result<Taken, Error> {
        self.call("take_hints", |server, now| {
            let bound = server.head_max;
            server.of(queue).take(bound, adopt, kinds, limit, until(now, lease))
        })
        .await
    }

    pub async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> Result<(), Error> {
        self.call("renew_hints", |server, now| {
            for (queue, ids) in runs.iter().filter(|(_, ids)| !ids.is_empty()) {
                server.of(queue).leases.extend(ids.iter().map(|id| (*id, Score::Leased(until(now, lease)))));
                server.keys.noted.insert(queue.clone());
            }
        })
        .await
    }

    pub async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> Result<(), Error> {
        self.call("hold", |server, now| {
            for id in ids {
                if let Some(Score::Leased(deadline)) = server.of(queue).leases.get_mut(id) {
                    *deadline = until(now, lease);
                }
            }
        })
        .await
    }

    pub async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> Result<(), Error> {
        self.call("ack", |server, _| {
            for (queue, ids) in hints {
                server.of(queue).ack(ids);
            }
        })
        .await
    }

    pub async fn release(&self, queue: &QueueName, hints: &[Hint]) -> Result<(), Error> {
        self.call("release", |server, _| push(server, queue, Mode::Return, hints)).await.map(drop)
    }

    pub async fn set_aside(&self, queue: &QueueName, kind: &Kind, hints: &[Hint]) -> Result<(), Error> {
        self.call("set_aside", |server, _| {
            let bound = aside_max(server);
            if server.of(queue).set_aside(kind, bound, &in_order(hints)).0 > 0 {
                server.count("a hint was set aside", true);
                server.say(&Notice::Aside { queue: queue.clone(), kind: kind.clone() });
            }
        })
        .await
    }

    pub async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> Result<bool, Error> {
        self.call("lock_fill", |server, now| {
            let lock = &mut server.of(queue).fill_lock_until;
            let is_free = lock.is_none_or(|until| until <= now);
            if is_free {
                *lock = Some(until(now, ttl));
            }
            is_free
        })
        .await
    }

    pub async fn unlock_fill(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("unlock_fill", |server, _| server.of(queue).fill_lock_until = None).await
    }

    pub async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> Result<(), Error> {
        self.call("announce", |server, now| {
            let holds = until(now, ttl);
            server.keys.workers.retain(|_, (_, until)| *until > now);
            server.keys.workers.insert(worker.id, (worker.clone(), holds));
            for (queue, _) in &worker.queues {
                let kinds = &mut server.of(queue).kinds;
                kinds.retain(|_, until| *until > now);
                match &worker.kinds {
                    None => drop(kinds.insert(EVERY_KIND.to_owned(), holds)),
                    Some(only) => kinds.extend(only.iter().map(|kind| (kind.to_string(), holds))),
                }
            }
        })
        .await
    }

    pub async fn note_served(&self, worker: &WorkerRecord) -> Result<(), Error> {
        self.call("note_served", |server, now| {
            for (queue, _) in &worker.queues {
                let served = &mut server.of(queue).served;
                match &worker.kinds {
                    None => drop(served.insert(None, now)),
                    Some(only) => served.extend(only.iter().map(|kind| (Some(kind.clone()), now))),
                }
            }
        })
        .await
    }

    pub async fn last_served(&self, queue: &QueueName) -> Result<Vec<LastServed>, Error> {
        self.call("last_served", |server, now| {
            let ago = |at: i64| Duration::from_millis(u64::try_from(now - at).unwrap_or_default());
            let last = server.of(queue).served.iter();
            last.map(|(kind, at)| LastServed { kind: kind.clone(), ago: ago(*at) })
                .filter(|last| last.ago < SERVED_REMEMBERED_FOR)
                .collect()
        })
        .await
    }

    pub async fn withdraw(&self, worker: &WorkerRecord) -> Result<(), Error> {
        self.call("withdraw", |server, _| drop(server.keys.workers.remove(&worker.id))).await
    }

    pub async fn served_kinds(&self, queue: &QueueName) -> Result<Served, Error> {
        self.call("served_kinds", |server, now| served(server, queue, now)).await
    }

    pub async fn served_in(&self, queues: &[QueueName]) -> Result<Vec<(Served, Vec<Kind>)>, Error> {
        self.call("served_in", |server, now| {
            let of_one = |queue: &QueueName| {
                let full = asides(server, queue).into_iter().filter(|(_, _, full)| *full);
                let full = full.map(|(kind, _, _)| kind).collect();
                (served(server, queue, now), full)
            };
            queues.iter().map(of_one).collect()
        })
        .await
    }
}
