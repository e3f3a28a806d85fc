//! The HTTP workers that this server knows: what they claim, which runs they hold, and which of them are drained.
//!
//! Each of them is announced in Redis like other workers. So a list of workers shows them, `explain` counts them, and the fill of
//! a head leaves out no kind that they serve. A worker is announced while it is alive: it waits, it has claimed a moment ago, or
//! it got all jobs that it asked for and still holds some. A worker that only renews and claims nothing although it has room is
//! not alive.

use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{Fence, Kind, QueueName, WorkerId};
use leasehold_ports::{HttpWorker, Kinds, WorkerRecord};
use leasehold_store::HttpClaim;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The time between two announcements of one worker, and how long an announcement is valid. Longer than for other workers: a
/// server may have thousands of clients.
pub(super) const EVERY: Duration = Duration::from_secs(8);
pub(super) const HOLDS_FOR: Duration = Duration::from_secs(30);
/// A client that works on its jobs does not claim for a while. It counts as alive, and its kinds as served, for this time.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// The most workers that a server remembers. A client that makes a new id for each claim must not fill the memory.
const REMEMBERED_AT_MOST: usize = 20_000;

/// One worker.
#[derive(Debug)]
struct Seen {
    first_at: DateTime<Utc>,
    claimed_at: DateTime<Utc>,
    claimed: Instant,
    /// Claims that wait now.
    waiting: u32,
    /// When the worker last asked for jobs of a queue, and for how many.
    queues: BTreeMap<QueueName, (u32, Instant)>,
    /// When it last asked for a kind; `None` stands for every kind.
    kinds: BTreeMap<Option<Kind>, Instant>,
    /// The last claim got as many jobs as it asked for.
    is_full: bool,
    /// The runs, and the ends of their leases.
    runs: HashMap<Fence, Instant>,
    due: Instant,
}

impl Seen {
    fn is_alive(&self, now: Instant) -> bool {
        self.waiting > 0 || now - self.claimed < REMEMBERED_FOR || (self.is_full && !self.runs.is_empty())
    }
}

/// The HTTP workers of this server.
#[derive(Debug, Default)]
pub(crate) struct HttpWorkers {
    seen: Mutex<HashMap<WorkerId, Seen>>,
    drained: Mutex<HashSet<WorkerId>>,
    /// A worker must be announced.
    news: Notify,
}

/// A claim in progress.
pub(crate) struct Claiming {
    workers: Arc<HttpWorkers>,
    worker: WorkerId,
}

impl Drop for Claiming {
    fn drop(&mut self) {
        if let Some(seen) = self.workers.seen().get_mut(&self.worker) {
            seen.waiting = seen.waiting.saturating_sub(1);
            (seen.claimed, seen.claimed_at) = (Instant::now(), Utc::now());
        }
    }
}

impl HttpWorkers {
    fn seen(&self) -> MutexGuard<'_, HashMap<WorkerId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drained(&self) -> MutexGuard<'_, HashSet<WorkerId>> {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this server knows the worker.
    pub(super) fn know(&self, worker: WorkerId) -> bool {
        self.seen().contains_key(&worker)
    }

    /// The workers that this server knows and that are not drained, as far as it knows.
    pub(super) fn not_drained(&self) -> Vec<WorkerId> {
        let drained = self.drained();
        self.seen().keys().filter(|worker| !drained.contains(worker)).copied().collect()
    }

    /// The worker claims, until the answer is dropped.
    pub(super) fn claiming(self: &Arc<Self>, claim: &HttpClaim) -> Claiming {
        let (now, mut all) = (Instant::now(), self.seen());
        if all.len() < REMEMBERED_AT_MOST || all.contains_key(&claim.worker) {
            let seen = all.entry(claim.worker).or_insert_with(|| Seen {
                first_at: Utc::now(),
                claimed_at: Utc::now(),
                claimed: now,
                waiting: 0,
                queues: BTreeMap::new(),
                kinds: BTreeMap::new(),
                is_full: false,
                runs: HashMap::new(),
                due: now,
            });
            (seen.claimed, seen.claimed_at) = (now, Utc::now());
            seen.waiting += 1;
            let limit = u32::try_from(claim.limit).unwrap_or(u32::MAX);
            let mut is_new = seen.queues.insert(claim.queue.clone(), (limit, now)).is_none();
            match &claim.kinds {
                Kinds::All => is_new |= seen.kinds.insert(None, now).is_none(),
                Kinds::Only(kinds) => {
                    for kind in kinds {
                        is_new |= seen.kinds.insert(Some(kind.clone()), now).is_none();
                    }
                }
            }
            if is_new {
                seen.due = now;
                self.news.notify_one();
            }
        }
        Claiming { workers: Arc::clone(self), worker: claim.worker }
    }

    /// The worker has got these runs.
    pub(super) fn got(&self, claim: &HttpClaim, runs: impl Iterator<Item = Fence>) {
        let until = Instant::now() + claim.lease;
        if let Some(seen) = self.seen().get_mut(&claim.worker) {
            let before = seen.runs.len();
            seen.runs.extend(runs.map(|run| (run, until)));
            seen.is_full = seen.runs.len() - before >= claim.limit;
        }
    }

    /// The worker has renewed these leases.
    pub(super) fn renewed(&self, worker: WorkerId, runs: impl Iterator<Item = Fence>, lease: Duration) {
        let until = Instant::now() + lease;
        if let Some(seen) = self.seen().get_mut(&worker) {
            seen.runs.extend(runs.map(|run| (run, until)));
        }
    }

    /// These runs have ended.
    pub(super) fn ended(&self, worker: WorkerId, runs: &[Fence]) {
        if let Some(seen) = self.seen().get_mut(&worker) {
            seen.runs.retain(|run, _| !runs.contains(run));
        }
    }

    /// The worker gets no more jobs.
    pub(super) fn drain(&self, worker: WorkerId) {
        self.drained().insert(worker);
        if let Some(seen) = self.seen().get_mut(&worker) {
            seen.due = Instant::now();
            self.news.notify_one();
        }
    }

    pub(crate) fn is_drained(&self, worker: WorkerId) -> bool {
        self.drained().contains(&worker)
    }

    /// Ready when a worker must be announced immediately.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// The workers that must be announced now, each with the fact whether a claim of it waits or came since the last
    /// announcement; and the workers that have died.
    pub(super) fn due(&self, server: &str) -> (Vec<(WorkerRecord, bool)>, Vec<WorkerRecord>) {
        let (now, drained) = (Instant::now(), self.drained().clone());
        let (mut due, mut gone, mut over) = (Vec::new(), Vec::new(), Vec::new());
        self.seen().retain(|id, seen| {
            seen.runs.retain(|_, until| *until > now);
            if !seen.is_alive(now) {
                // If the worker comes back, PostgreSQL is asked again.
                over.push(*id);
                gone.push(record(*id, seen, server, drained.contains(id)));
                return false;
            }
            if seen.due <= now {
                seen.due = now + EVERY;
                if seen.waiting > 0 {
                    // A waiting claim counts as asking now.
                    seen.queues.values_mut().for_each(|(_, at)| *at = now);
                    seen.kinds.values_mut().for_each(|at| *at = now);
                }
                let is_recent = |at: Instant| now - at < REMEMBERED_FOR;
                if seen.kinds.values().any(|at| is_recent(*at)) {
                    seen.queues.retain(|_, (_, at)| is_recent(*at));
                    seen.kinds.retain(|_, at| is_recent(*at));
                }
                let claims = seen.waiting > 0 || now - seen.claimed < 2 * EVERY;
                due.push((record(*id, seen, server, drained.contains(id)), claims));
            }
            true
        });
        let mut drained = self.drained();
        over.iter().for_each(|id| {
            drained.remove(id);
        });
        drop(drained);
        (due, gone)
    }

    /// All workers, as they are announced.
    pub(super) fn all(&self, server: &str) -> Vec<WorkerRecord> {
        let drained = self.drained().clone();
        self.seen().iter().map(|(id, seen)| record(*id, seen, server, drained.contains(id))).collect()
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn record(id: WorkerId, seen: &Seen, server: &str, draining: bool) -> WorkerRecord {
    let running = u32::try_from(seen.runs.len()).unwrap_or(u32::MAX);
    let every = seen.kinds.contains_key(&None);
    WorkerRecord {
        id,
        // The host and the process of a client are not known.
        host: String::new(),
        pid: 0,
        version: String::new(),
        started_at: time(seen.first_at),
        // Its number of free slots is the number of jobs in its last claim.
        queues: seen.queues.iter().map(|(queue, (limit, _))| (queue.clone(), limit.saturating_add(running))).collect(),
        kinds: (!every).then(|| seen.kinds.keys().flatten().cloned().collect()),
        running,
        oldest_run_s: None,
        draining,
        http: Some(HttpWorker {
            server: server.to_owned(),
            last_claim_at: time(seen.claimed_at),
            waiting: seen.waiting,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::JobId;
    use tokio::time::advance;

    fn claim(worker: WorkerId, limit: usize) -> HttpClaim {
        HttpClaim {
            worker,
            queue: QueueName::default(),
            kinds: Kinds::All,
            limit,
            lease: Duration::from_secs(600),
            claim_id: "c".to_owned(),
            is_named: false,
        }
    }

    fn alive(workers: &HttpWorkers) -> usize {
        workers.due("s");
        workers.all("s").len()
    }

    /// A worker that has room but only renews does not count as alive.
    #[tokio::test(start_paused = true)]
    async fn a_worker_lives_while_it_claims_or_is_full() {
        let workers = Arc::new(HttpWorkers::default());
        let (idle, deaf, full) = (WorkerId::new(), WorkerId::new(), WorkerId::new());
        let run = |worker| Fence { id: JobId::new(), epoch: 1, worker };
        let (of_deaf, of_full) = (run(deaf), run(full));
        let waits = workers.claiming(&claim(idle, 1));
        for (worker, limit, run) in [(deaf, 2, of_deaf), (full, 1, of_full)] {
            let claim = claim(worker, limit);
            let claiming = workers.claiming(&claim);
            workers.got(&claim, std::iter::once(run));
            drop(claiming);
        }
        assert_eq!(alive(&workers), 3);
        for _ in 0..20 {
            advance(Duration::from_secs(30)).await;
            workers.renewed(deaf, std::iter::once(of_deaf), Duration::from_secs(600));
            workers.renewed(full, std::iter::once(of_full), Duration::from_secs(600));
        }
        assert_eq!(alive(&workers), 2, "one waits, and one is full");
        assert!(!workers.know(deaf));
        workers.ended(full, &[of_full]);
        assert_eq!(alive(&workers), 1);
        drop(waits);
        assert_eq!(alive(&workers), 1, "it has just claimed");
        advance(REMEMBERED_FOR).await;
        assert_eq!(alive(&workers), 0);
    }
}
