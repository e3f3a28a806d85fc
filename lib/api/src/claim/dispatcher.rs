//! The state that the lanes share, and the other tasks: releases of runs whose answers did not arrive, notices, and the health of
//! Redis.

use super::{
    announce::{announce, hear_drains, name},
    delivery::{Deliveries, tell_deliveries},
    handover::{HandedOver, Unconfirmed},
    lane::{Lane, Mailbox},
    releases::{RELEASE_PATIENCE, release_of, release_runs},
    waiter::{Claimed, Waiter},
    workers::HttpWorkers,
};
use crate::{
    errors::{Code, Problem, Result},
    limits::WAITERS_MAX,
    turns::{Turn, Turns},
};
use leasehold_client::Pair;
use leasehold_core::{Fence, QueueName, WorkerId};
use leasehold_ports::{AWAITED_FOR, Notice, WorkerHead};
use leasehold_store::{HttpClaim, HttpRun, Store};
use leasehold_worker::{Health, Jitter, Waits};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a claim waits for its lane beyond its own time: a claim in PostgreSQL may be under way.
const LANE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a claim waits, beyond its own time, for an earlier request of the same claim.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stop waits for releases.
const LAST_RELEASES: Duration = Duration::from_secs(5);

/// Claims for HTTP workers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatcher(Arc<Shared>);

/// The state that the lanes share.
pub(super) struct Shared {
    pub(super) store: Store,
    /// `None` without `redis.url`: claims go to the line.
    pub(super) head: Option<Arc<dyn WorkerHead>>,
    pub(super) redis: Health,
    pub(super) jitter: Jitter,
    pub(super) stopping: CancellationToken,
    pub(super) unconfirmed: Arc<Unconfirmed>,
    /// The requests of one claim, one after another.
    claims: Turns,
    /// The runs of a worker are recalled and handed over in one turn, and released in another turn.
    pub(super) handovers: Turns,
    pub(super) workers: Arc<HttpWorkers>,
    /// The name of this server, for human readers.
    pub(super) name: String,
    lanes: Mutex<HashMap<QueueName, Arc<Mailbox>>>,
    waiting: AtomicUsize,
    /// Until when clients wait for ends of jobs.
    awaited: Mutex<Option<Instant>>,
    /// Lanes, and the release of runs.
    tasks: TaskTracker,
    /// Ends the tasks that listen.
    done: CancellationToken,
}

impl Dispatcher {
    pub(crate) fn new(pair: &Pair) -> Self {
        let (releases, released) = mpsc::unbounded_channel();
        let (written, deliveries) = mpsc::unbounded_channel();
        let head: Option<Arc<dyn WorkerHead>> = pair.handoff.clone().map(Into::into);
        let shared = Arc::new(Shared {
            store: pair.store.clone(),
            redis: Health::new(
                "Redis",
                "HTTP workers get jobs from the line in PostgreSQL until Redis is available again",
            ),
            jitter: Jitter::new(),
            stopping: CancellationToken::new(),
            unconfirmed: Arc::new(Unconfirmed::new(releases, Deliveries::new(written))),
            claims: Turns::default(),
            handovers: Turns::default(),
            workers: Arc::default(),
            name: name(),
            lanes: Mutex::default(),
            waiting: AtomicUsize::new(0),
            awaited: Mutex::default(),
            tasks: TaskTracker::new(),
            done: CancellationToken::new(),
            head,
        });
        shared.tasks.spawn(release_runs(Arc::clone(&shared), released));
        shared.tasks.spawn(tell_deliveries(Arc::clone(&shared), deliveries));
        shared.tasks.spawn(hear_drains(Arc::clone(&shared)));
        if let Some(head) = &shared.head {
            tokio::spawn(hear(Arc::clone(&shared), Arc::clone(head)));
            tokio::spawn(probe_redis(Arc::clone(&shared), Arc::clone(head)));
            shared.tasks.spawn(announce(Arc::clone(&shared), Arc::clone(head)));
        }
        Self(shared)
    }

    /// The jobs of an earlier claim with the same id, if its runs have not ended; else new jobs. Waits up to `wait` for a job. If
    /// the same claim is sent at the same time, it waits for this call and gets the same jobs.
    pub(crate) async fn claim(&self, claim: HttpClaim, max_bytes: usize, wait: Duration) -> Result<Claimed> {
        let is_named = claim.is_named;
        let until = Instant::now() + wait;
        if !self.0.workers.know(claim.worker) {
            self.0.learn_drained(&[claim.worker]).await?;
        }
        let _claiming = self.0.workers.claiming(&claim);
        let turn = match is_named {
            true => Some(self.0.turn_of(&claim, until).await?),
            false => None,
        };
        if is_named && let Some(claimed) = self.0.recall(&claim).await? {
            return Ok(claimed);
        }
        if self.0.workers.is_drained(claim.worker) {
            return Err(Problem::new(Code::Draining, "this worker is drained: end its runs, and claim nothing"));
        }
        if self.0.stopping.is_cancelled() {
            return Ok(Claimed::nothing());
        }
        let _waiting = self.0.waiting_claim()?;
        let asked = claim.clone();
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { claim, max_bytes, until, is_tried: false, reply, turn };
        let mailbox = self.0.park(waiter);
        let mut awaited = AwaitedAnswer { answer, mailbox, is_answered: false };
        let answer = match timeout(wait + LANE_PATIENCE, &mut awaited.answer).await {
            Ok(answer) => {
                awaited.is_answered = true;
                // If there is no answer, the lane has ended with the server.
                answer.unwrap_or_else(|_| Ok(Claimed::nothing()))
            }
            Err(_) => {
                awaited.answer.close();
                awaited
                    .answer
                    .try_recv()
                    .unwrap_or_else(|_| Err(Problem::new(Code::Unavailable, "PostgreSQL does not answer; try again")))
            }
        };
        let answer = match answer {
            // The same claim may have got jobs at another server in the meantime.
            Ok(claimed) if is_named && claimed.runs.is_empty() && !self.0.stopping.is_cancelled() => {
                Ok(self.0.recall(&asked).await?.unwrap_or(claimed))
            }
            answer => answer,
        };
        if let Ok(claimed) = &answer {
            self.0.workers.got(&asked, claimed.runs.iter().map(|run| run.job.fence));
        }
        answer
    }

    /// The worker gets no more jobs: its waiting claims end without a job.
    pub(crate) async fn drain(&self, worker: WorkerId) -> Result<()> {
        self.0.store.drain_http(worker).await?;
        self.0.workers.drain(worker);
        self.0.poke_all();
        Ok(())
    }

    /// Whether the worker gets no more jobs. Asks PostgreSQL about a worker that this server does not know.
    pub(crate) async fn is_drained(&self, worker: WorkerId) -> Result<bool> {
        if self.0.workers.know(worker) {
            return Ok(self.0.workers.is_drained(worker));
        }
        Ok(!self.0.store.drained_http(&[worker]).await?.is_empty())
    }

    /// The worker has renewed the leases of these runs.
    pub(crate) fn renewed(&self, worker: WorkerId, runs: impl Iterator<Item = Fence>, lease: Duration) {
        self.0.workers.renewed(worker, runs, lease);
    }

    /// The worker has ended these runs.
    pub(crate) fn ended(&self, worker: WorkerId, runs: &[Fence]) {
        self.0.workers.ended(worker, runs);
    }

    /// The client has named these runs, so it has the answer to their claim.
    pub(crate) fn confirm(&self, runs: &[Fence]) {
        self.0.unconfirmed.confirm(runs);
    }

    /// Redis, while it is available.
    pub(crate) fn head(&self) -> Option<&Arc<dyn WorkerHead>> {
        self.0.head.as_ref().filter(|_| !self.0.redis.is_unavailable())
    }

    /// A call to Redis failed.
    pub(crate) fn redis_failed(&self, error: &leasehold_ports::Error) {
        self.0.redis.failed(error);
    }

    /// Whether clients wait for ends of jobs.
    pub(crate) fn ends_are_awaited(&self) -> bool {
        self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// Ready when the server stops.
    pub(crate) async fn stopping(&self) {
        self.0.stopping.cancelled().await;
    }

    /// How many claims wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Waiting claims get an empty answer.
    pub(crate) fn stop_waiting(&self) {
        self.0.stopping.cancel();
    }

    /// Gives back hints and runs, and waits for that.
    pub(crate) async fn stop(&self) {
        self.0.stopping.cancel();
        // An empty release means that no other release follows: every connection has ended.
        self.0.unconfirmed.end();
        self.0.tasks.close();
        if timeout(LAST_RELEASES, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some runs were not released; their leases run out");
        }
        self.0.done.cancel();
    }
}

/// A request that waits for its lane. If its client disconnects, the lane forgets the claim immediately: the same claim may wait
/// for its turn.
struct AwaitedAnswer {
    answer: oneshot::Receiver<Result<Claimed>>,
    mailbox: Arc<Mailbox>,
    is_answered: bool,
}

impl Drop for AwaitedAnswer {
    fn drop(&mut self) {
        if !self.is_answered {
            // Dropped first, so that the lane notices that the client has disconnected.
            self.answer.close();
            self.mailbox.poke();
        }
    }
}

/// Counts a claim that waits.
struct WaitingClaim<'a>(&'a AtomicUsize);

impl Drop for WaitingClaim<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn waiting_claim(&self) -> Result<WaitingClaim<'_>> {
        let claim = WaitingClaim(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITERS_MAX {
            return Err(Problem::new(Code::TooManyRequests, format!("{WAITERS_MAX} claims wait already")));
        }
        Ok(claim)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<QueueName, Arc<Mailbox>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the claim to the lane of its queue.
    fn park(self: &Arc<Self>, waiter: Waiter) -> Arc<Mailbox> {
        let mut lanes = self.lanes();
        let mailbox = lanes.entry(waiter.claim.queue.clone()).or_insert_with(|| {
            let mailbox = Arc::new(Mailbox::default());
            let lane = Lane::new(Arc::clone(self), waiter.claim.queue.clone(), Arc::clone(&mailbox));
            self.tasks.spawn(lane.run());
            mailbox
        });
        mailbox.put(waiter);
        Arc::clone(mailbox)
    }

    /// Waits until no other request of this claim is running.
    async fn turn_of(&self, claim: &HttpClaim, until: Instant) -> Result<Turn> {
        let key = format!("{} {}", claim.worker.0, claim.claim_id);
        let late = |_| Problem::new(Code::Unavailable, "another request with this claim_id is at work; try again");
        timeout_at(until + TURN_PATIENCE, self.claims.wait(&key)).await.map_err(late)
    }

    /// The runs of an earlier claim of this id, handed over again. During this, no run of the worker is released.
    async fn recall(&self, claim: &HttpClaim) -> Result<Option<Claimed>> {
        let _turn = self.handovers.wait(&claim.worker.0.to_string()).await;
        let runs = self.store.recall_http(claim).await?;
        Ok((!runs.is_empty()).then(|| self.handed_over(runs)))
    }

    /// Reads which of these workers are drained. Their waiting claims end.
    pub(super) async fn learn_drained(&self, workers: &[WorkerId]) -> Result<()> {
        let drained = self.store.drained_http(workers).await?;
        drained.iter().for_each(|worker| self.workers.drain(*worker));
        if !drained.is_empty() {
            self.poke_all();
        }
        Ok(())
    }

    fn poke_all(&self) {
        self.lanes().values().for_each(|mailbox| mailbox.poke());
    }

    /// Whether the lane of this queue may end: its mailbox has no new claim. A later claim gets a new lane.
    pub(super) fn may_end(&self, queue: &QueueName, mailbox: &Mailbox) -> bool {
        let mut lanes = self.lanes();
        let may_end = mailbox.is_empty();
        if may_end {
            lanes.remove(queue);
        }
        may_end
    }

    /// The answer with these runs.
    pub(super) fn handed_over(&self, runs: Vec<HttpRun>) -> Claimed {
        let releases = runs.iter().map(release_of).collect();
        Claimed { handed_over: Some(HandedOver::new(releases, &self.unconfirmed)), runs }
    }

    /// A claim whose outcome is not known: PostgreSQL may have started runs that no client knows. They are released when PostgreSQL
    /// answers. The same claim waits for this: `turn` is its turn.
    pub(super) fn reconcile(self: &Arc<Self>, claim: &HttpClaim, turn: Option<Turn>) {
        let (shared, claim) = (Arc::clone(self), claim.clone());
        self.tasks.spawn(async move {
            let _turn = turn;
            let (begun, mut waits) = (Instant::now(), Waits::new(50, 2000));
            while begun.elapsed() < RELEASE_PATIENCE && !shared.stopping.is_cancelled() {
                if let Ok(runs) = shared.store.recall_http(&claim).await {
                    return shared.unconfirmed.release(runs.iter().map(release_of).collect());
                }
                sleep(waits.next(&shared.jitter)).await;
            }
        });
    }
}

/// Receives notices. The server learns everything that they say in another way too.
async fn hear(shared: Arc<Shared>, head: Arc<dyn WorkerHead>) {
    let mut notices = head.listen();
    loop {
        let notice = tokio::select! {
            biased;
            () = shared.done.cancelled() => return,
            notice = notices.recv() => notice,
        };
        match notice {
            Some(Notice::Aside { queue, .. }) => {
                if let Some(mailbox) = shared.lanes().get(&queue) {
                    mailbox.poke();
                }
            }
            Some(Notice::Awaited) => {
                *shared.awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AWAITED_FOR);
            }
            Some(Notice::Cancel { .. } | Notice::Due { .. }) => {}
            None => return,
        }
    }
}

/// Finds out when Redis is available again.
async fn probe_redis(shared: Arc<Shared>, head: Arc<dyn WorkerHead>) {
    let mut waits = Waits::new(100, 2000);
    loop {
        let probed = async {
            shared.redis.until_unavailable().await;
            sleep(waits.next(&shared.jitter)).await;
            head.check().await
        };
        let answer = tokio::select! {
            biased;
            () = shared.done.cancelled() => return,
            answer = probed => answer,
        };
        if answer.is_ok() {
            shared.redis.answered();
            waits.reset();
        }
    }
}
