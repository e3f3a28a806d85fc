//! Redis in memory, from the view of one process.

use crate::{
    broken::Broken,
    clock::Clock,
    keys::{Keys, QueueKeys, Score, Server},
    link::{ConnectionLost, Direct, Link},
    scripts::{Mode, in_order},
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::{
    Class, EXTEND_FOR, Error, Extended, Fill, Filled, HeadStats, Hint, Notice, Pushed, Served, Snapshot, Swept, Tail,
    Taken, WorkerRecord,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The same value as in `lib/handoff`.
const ASIDE_PART_OF_HEAD: u32 = 8;
const BACKLOG: usize = 256;
const ADOPT_MAX: u32 = 500;
/// As a member of the kinds that are served.
const EVERY_KIND: &str = "";

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

    /// The live workers.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerRecord> {
        let server = self.server();
        let now = server.clock.ms();
        server.keys.workers.values().filter(|(_, until)| *until > now).map(|(worker, _)| worker.clone()).collect()
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

fn until(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn push(server: &mut Server, queue: &QueueName, mode: Mode, hints: &[Hint]) -> Pushed {
    if hints.is_empty() {
        return Pushed::default();
    }
    let bound = server.head_max;
    let pushed = server.of(queue).push(bound, mode, &in_order(hints));
    server.keys.noted.insert(queue.clone());
    server.count("a hint had no room in the head", pushed.overflowed > 0);
    server.count("a hint was pushed twice", pushed.doubles > 0);
    pushed
}

fn sweep(server: &mut Server, queue: &QueueName, force: bool) -> Swept {
    if server.is_broken(Broken::NothingIsSwept) {
        return Swept::default();
    }
    let swept = server.of(queue).sweep(force);
    server.count("lists and set of Redis were made to agree", swept != Swept::default());
    swept
}

fn served(server: &mut Server, queue: &QueueName, now: i64) -> Served {
    let kinds = &server.of(queue).kinds;
    let holding: Vec<&String> = kinds.iter().filter(|(_, until)| **until > now).map(|(kind, _)| kind).collect();
    match holding.as_slice() {
        [] => Served::Unknown,
        kinds if kinds.iter().any(|kind| *kind == EVERY_KIND) => Served::Every,
        kinds => Served::Only(kinds.iter().filter_map(|kind| kind.parse().ok()).collect()),
    }
}

fn asides(server: &mut Server, queue: &QueueName) -> Vec<(Kind, u64, bool)> {
    let bound = u64::from((server.head_max / ASIDE_PART_OF_HEAD).max(1));
    let keys = server.of(queue);
    keys.named_asides().map(|(kind, ids)| (kind.clone(), ids.len() as u64, ids.len() as u64 >= bound)).collect()
}

fn fill(server: &mut Server, Fill { queue, reading, hints, more, to }: &Fill, now: i64) -> Filled {
    if server.is_broken(Broken::NothingIsFilled) {
        return Filled::default();
    }
    let swept = sweep(server, queue, false);
    let bound = server.head_max;
    let to = to.as_deref().map(|place| (place, until(now, EXTEND_FOR)));
    let filled = server.of(queue).fill(bound, *reading, &in_order(hints), *more, to, now);
    if !hints.is_empty() {
        server.keys.noted.insert(queue.clone());
    }
    server.count("a fill brought hints", filled.pushed > 0);
    Filled { swept, ..filled }
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

    pub async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    pub async fn push(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error> {
        self.call("push", |server, _| push(server, queue, Mode::New, hints)).await
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
            let bound = (server.head_max / ASIDE_PART_OF_HEAD).max(1);
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

    pub async fn noted_queues(&self) -> Result<Vec<QueueName>, Error> {
        self.call("noted_queues", |server, _| server.keys.noted.iter().cloned().collect()).await
    }

    pub async fn unnote(&self, queues: &[QueueName]) -> Result<(), Error> {
        if queues.is_empty() {
            return Ok(());
        }
        self.call("unnote", |server, _| {
            let Keys { noted, queues: of, .. } = &mut server.keys;
            noted.retain(|queue| !queues.contains(queue) || of.get(queue).is_some_and(QueueKeys::is_in_use));
        })
        .await
    }

    pub async fn look(&self, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error> {
        self.call("look_at_heads", |server, now| queues.iter().map(|queue| server.of(queue).look(now)).collect()).await
    }

    /// Every queue that has keys.
    ///
    /// # Errors
    /// The call was lost on its way.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.call("queues", |server, _| {
            let Keys { noted, queues, .. } = &mut server.keys;
            noted.retain(|queue| queues.get(queue).is_some_and(QueueKeys::is_in_use));
            noted.iter().cloned().collect()
        })
        .await
    }

    pub async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error> {
        self.call("stats", |server, _| server.of(queue).stats()).await
    }

    pub async fn snapshot(&self, queue: &QueueName) -> Result<Snapshot, Error> {
        self.call("snapshot", |server, now| server.of(queue).snapshot(now)).await
    }

    pub async fn pause(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("pause_head", |server, _| {
            server.of(queue).pause();
            server.keys.noted.insert(queue.clone());
        })
        .await
    }

    pub async fn resume(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("resume_head", |server, _| server.of(queue).paused = false).await
    }

    pub async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error> {
        self.call("adopt", |server, now| {
            if server.is_broken(Broken::NothingIsAdopted) {
                return 0;
            }
            let adopted = server.of(queue).adopt(until(now, lease), ADOPT_MAX);
            server.count("a hint was adopted", adopted > 0);
            adopted
        })
        .await
    }

    pub async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error> {
        self.call("expired", |server, now| {
            if server.is_broken(Broken::ExpiredHintsAreNotTold) {
                return Vec::new();
            }
            let expired = server.of(queue).expired(now, limit);
            server.count("a lease ran out in Redis", !expired.is_empty());
            expired
        })
        .await
    }

    /// Makes one head match the front of its line.
    ///
    /// # Errors
    /// The call was lost on its way.
    pub async fn fill(&self, queue: &QueueName, hints: &[Hint], more: bool, to: Option<&str>) -> Result<Filled, Error> {
        let fill_one =
            Fill { queue: queue.clone(), reading: None, hints: hints.to_vec(), more, to: to.map(str::to_owned) };
        self.call("fill", |server, now| fill(server, &fill_one, now)).await
    }

    pub async fn fill_all(&self, fills: &[Fill]) -> Result<Vec<Filled>, Error> {
        if fills.is_empty() {
            return Ok(Vec::new());
        }
        self.call("fill", |server, now| fills.iter().map(|one| fill(server, one, now)).collect()).await
    }

    pub async fn begin_readings(&self, queues: &[QueueName]) -> Result<Vec<u64>, Error> {
        self.call("begin_readings", |server, _| {
            let next = |queue: &QueueName| {
                let (readings, _) = &mut server.of(queue).readings;
                *readings += 1;
                *readings
            };
            queues.iter().map(next).collect()
        })
        .await
    }

    pub async fn tail(&self, queue: &QueueName) -> Result<Tail, Error> {
        self.call("tail", |server, now| {
            let keys = server.of(queue);
            let text = |kept: &Option<(String, i64)>| {
                kept.as_ref().filter(|(_, until)| *until > now).map(|(text, _)| text.clone())
            };
            Tail { ready: keys.ready.len() as u32, filled_to: text(&keys.filled), scan_start: text(&keys.scan_start) }
        })
        .await
    }

    pub async fn holds_all(&self, queue: &QueueName, ids: &[JobId]) -> Result<bool, Error> {
        self.call("holds_all", |server, _| {
            let leases = &server.of(queue).leases;
            ids.iter().all(|id| leases.contains_key(id))
        })
        .await
    }

    pub async fn keep_scan_start(
        &self,
        queue: &QueueName,
        begins: &str,
        kept_for: Option<Duration>,
    ) -> Result<(), Error> {
        self.call("keep_scan_start", |server, now| {
            let kept = &mut server.of(queue).scan_start;
            let until = match kept_for {
                Some(time) => Some(until(now, time)),
                None => kept.as_ref().map(|(_, until)| *until).filter(|until| *until > now),
            };
            *kept = until.map(|until| (begins.to_owned(), until));
            server.count("a line was read on from where it was known to begin", kept_for.is_none());
        })
        .await
    }

    pub async fn extend(
        &self,
        queue: &QueueName,
        reading: u64,
        from: &str,
        to: &str,
        hints: &[Hint],
    ) -> Result<Extended, Error> {
        self.call("extend", |server, now| {
            let bound = server.head_max;
            let drained = server.of(queue).ready.is_empty();
            let extended = server.of(queue).extend(bound, Some(reading), (from, to), &in_order(hints), now);
            server.count("a head was extended", extended.pushed > 0);
            server.count("a head with no hint left was extended", drained && extended.pushed > 0);
            server.count("a head changed before it was extended", extended.changed);
            extended
        })
        .await
    }

    pub async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error> {
        self.call("sweep", |server, _| sweep(server, queue, true)).await
    }

    pub async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> Result<(), Error> {
        let ids: Vec<JobId> =
            members.iter().filter_map(|member| std::str::from_utf8(member).ok()?.parse().ok()).collect();
        self.call("forget", |server, _| server.of(queue).forget(&ids)).await.map(drop)
    }

    pub async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error> {
        self.call("asides", |server, _| asides(server, queue)).await
    }

    pub async fn generation(&self) -> Result<(String, bool), Error> {
        self.call("generation", |server, _| {
            if let Some(generation) = &server.keys.generation {
                return (generation.clone(), false);
            }
            server.generations += 1;
            let generation = format!("generation {}", server.generations);
            server.keys.generation = Some(generation.clone());
            (generation, true)
        })
        .await
    }

    pub async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error> {
        self.call("announce_reaper", |server, now| {
            server.keys.reapers.retain(|_, until| *until > now);
            server.keys.reapers.insert(reaper, until(now, ttl));
        })
        .await
    }

    pub async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error> {
        self.call("withdraw_reaper", |server, _| {
            server.keys.reapers.remove(&reaper);
        })
        .await
    }
}
