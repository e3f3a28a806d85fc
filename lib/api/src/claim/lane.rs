//! The lane of one queue: takes hints, claims for the clients that wait, and answers them in order of arrival.
//!
//! It does what the loop of a worker's queue does (`lib/worker/src/queue_loop.rs`), for many workers at once: N hints wake at most N
//! clients, and a client that waits has no connection to a store.

mod refused;

use super::{
    announce::{Announcement, EVERY},
    dispatcher::{Shared, give_back, release_of},
    waiter::{Claimed, Groups, Waiter},
};
use crate::errors::Problem;
use futures_util::future::join_all;
use leasehold_core::{HANDOFF_LEASE, JobId, Kind, QueueName};
use leasehold_ports::{Kinds, WorkerHead};
use leasehold_store::{Error, HttpRun};
use leasehold_worker::{AwaitedTake, Parked, Take, Took, Waits};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// How many claims are sent to PostgreSQL at the same time.
const AT_ONCE: usize = 8;
/// How long a lane without claims stays, with its connection: a worker that has finished its jobs claims again.
const LINGER: Duration = Duration::from_secs(30);
/// How long a take that was woken may need to end.
const WAKING_TAKES: Duration = Duration::from_secs(2);

/// Where claims arrive for a lane.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    arrived: Mutex<Vec<Waiter>>,
    news: Notify,
}

impl Mailbox {
    fn arrived(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, waiter: Waiter) {
        self.arrived().push(waiter);
        self.news.notify_one();
    }

    /// Wakes the lane: there may be hints that no take is told about.
    pub(super) fn poke(&self) {
        self.news.notify_one();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arrived().is_empty()
    }
}

/// The lane of one queue.
pub(super) struct Lane {
    shared: Arc<Shared>,
    queue: QueueName,
    mailbox: Arc<Mailbox>,
    groups: Groups,
    take: Option<Take>,
    /// Hints that the blocking take moved out of the head. They have no lease yet.
    adopt: Vec<JobId>,
    /// Hints whose jobs wait in the line and could not be claimed.
    parked: Parked,
    /// The kinds that had hints aside at the last take.
    aside_kinds: Vec<Kind>,
    /// The line is longer than the head: hints will come, and then the bell.
    is_long: bool,
    announcement: Announcement,
    waits: Waits,
}

/// What one turn of the lane found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There were hints or jobs: there may be more.
    Busy,
    /// Nothing is there for the claims that wait.
    Idle,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, queue: QueueName, mailbox: Arc<Mailbox>) -> Self {
        Self {
            take: shared.head.clone().map(|head| Take::new(head, queue.clone())),
            announcement: Announcement::new(queue.clone()),
            parked: Parked::new(HANDOFF_LEASE),
            groups: Groups::default(),
            adopt: Vec::new(),
            aside_kinds: Vec::new(),
            is_long: false,
            waits: Waits::new(20, 1000),
            shared,
            queue,
            mailbox,
        }
    }

    /// Runs until no claim has waited for a while, or the server stops. Hints that the lane then holds are given back.
    pub(super) async fn run(mut self) {
        let mut empty_since = Instant::now();
        while !self.shared.stopping.is_cancelled() {
            for waiter in std::mem::take(&mut *self.mailbox.arrived()) {
                self.groups.add(waiter);
            }
            let unused = self.groups.tidy();
            give_back(&self.shared, &self.queue, unused).await;
            if let Some(head) = self.head() {
                self.announcement.tell(&self.groups, &head);
            }
            if self.groups.is_empty() {
                if empty_since.elapsed() >= LINGER && self.shared.may_end(&self.queue, &self.mailbox) {
                    break;
                }
                self.wait_for_claims().await;
                continue;
            }
            empty_since = Instant::now();
            // A claim is answered without a job only after it was tried, so this wait is left out for the first time.
            if self.turn().await == Turn::Idle && self.groups.next_end().is_some_and(|end| end > Instant::now()) {
                self.wait_for_hints().await;
            }
        }
        self.end().await;
    }

    fn head(&self) -> Option<Arc<dyn WorkerHead>> {
        self.shared.head.clone().filter(|_| !self.shared.redis.is_unavailable())
    }

    async fn end(mut self) {
        for waiter in std::mem::take(&mut *self.mailbox.arrived()) {
            waiter.answer(Ok(Claimed::nothing()));
        }
        let mut unused = self.groups.answer_all();
        if let Some(Took::Hint(id)) = match &mut self.take {
            Some(take) => take.cut_short(WAKING_TAKES).await,
            None => None,
        } {
            unused.push(id);
        }
        unused.append(&mut self.adopt);
        unused.extend(self.parked.take_all());
        give_back(&self.shared, &self.queue, unused).await;
        if let Some(head) = self.head() {
            self.announcement.withdraw(&head).await;
        }
    }

    async fn wait_for_claims(&mut self) {
        // Its hints belong to other workers now.
        let unused = self.parked.take_all();
        give_back(&self.shared, &self.queue, unused).await;
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => {}
            () = self.mailbox.news.notified() => {}
            took = ended(&mut self.take) => self.took(took),
            () = sleep_until(self.announcement.due().min(Instant::now() + EVERY)) => {}
        }
        if self.mailbox.is_empty() {
            let unused = std::mem::take(&mut self.adopt);
            give_back(&self.shared, &self.queue, unused).await;
        }
    }

    fn took(&mut self, took: Took) {
        match took {
            Took::Hint(id) => self.adopt.push(id),
            Took::Nothing => {}
            Took::Failed(error) => tracing::debug!(queue = %self.queue, error, "a take failed"),
        }
    }

    /// Waits until there may be jobs, a claim arrives, or a claim is to be answered without a job.
    async fn wait_for_hints(&mut self) {
        let shared = Arc::clone(&self.shared);
        let end = self.groups.next_end().unwrap_or_else(Instant::now).min(self.announcement.due());
        let due = self.parked.next().map_or(end, |parked| parked.min(end));
        let is_unavailable = self.head().is_none();
        if let Some(take) = self.take.as_mut().filter(|_| !is_unavailable) {
            let awaited = if self.is_long { AwaitedTake::Bell } else { AwaitedTake::Hint };
            if let Err(error) = take.start(awaited).await {
                return shared.redis.failed(&error);
            }
        }
        // Without Redis, the line is asked again after a pause with jitter: one statement for the whole lane.
        let pause = if is_unavailable { self.waits.next(&shared.jitter) } else { Duration::MAX };
        let took = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => None,
            took = ended(&mut self.take) => Some(took),
            () = self.mailbox.news.notified() => None,
            () = sleep_until(due) => None,
            () = sleep(pause) => None,
            () = shared.redis.until_unavailable(), if !is_unavailable => None,
        };
        if let Some(took) = took {
            if matches!(took, Took::Failed(_)) {
                // The next call shows whether Redis is unavailable. Takes must not fail as fast as they can.
                sleep(self.waits.next(&shared.jitter)).await;
            }
            self.took(took);
        }
    }

    /// Tries every claim that waits once.
    async fn turn(&mut self) -> Turn {
        let Some(head) = self.head() else { return self.turn_without_redis().await };
        let mut turn = self.turn_of_parked(&head).await;
        for nth in 0..self.groups.0.len() {
            let (adopt, asked) = (std::mem::take(&mut self.adopt), self.groups.0[nth].wanted());
            let missing = asked.saturating_sub(self.groups.0[nth].ids.len() + adopt.len());
            let kinds = match &self.groups.0[nth].kinds {
                Kinds::All => &self.aside_kinds,
                Kinds::Only(kinds) => kinds,
            };
            let limit = u32::try_from(missing).unwrap_or(u32::MAX);
            match head.take(&self.queue, &adopt, kinds, limit, HANDOFF_LEASE).await {
                Ok(taken) => {
                    self.is_long = taken.low;
                    self.groups.0[nth].ids.extend(taken.ids);
                    if self.groups.0[nth].kinds == Kinds::All {
                        self.aside_kinds = taken.aside;
                    }
                }
                Err(error) => {
                    self.shared.redis.failed(&error);
                    return Turn::Busy;
                }
            }
            if !self.groups.0[nth].ids.is_empty() {
                turn = Turn::Busy;
                self.serve(nth, &head).await;
            }
            self.groups.0[nth].waiters.iter_mut().for_each(|waiter| waiter.is_tried = true);
        }
        if turn == Turn::Busy {
            self.waits.reset();
        }
        turn
    }

    /// Claims the hints of a group for its clients, in order of arrival.
    async fn serve(&mut self, nth: usize, head: &Arc<dyn WorkerHead>) {
        let group = &mut self.groups.0[nth];
        let mut claims = Vec::new();
        let mut ids = std::mem::take(&mut group.ids);
        while !ids.is_empty() && claims.len() < AT_ONCE {
            let Some(waiter) = group.waiters.pop_front() else { break };
            if !waiter.is_gone() {
                let rest = ids.split_off(ids.len().min(waiter.claim.limit));
                claims.push((waiter, std::mem::replace(&mut ids, rest)));
            }
        }
        group.ids = ids;
        let refused = self.claim(nth, claims, head).await;
        self.sort(refused, Some(nth), head).await;
    }

    /// Sends claims, and answers their clients. Returns the hints that PostgreSQL refused.
    async fn claim(&mut self, nth: usize, claims: Vec<(Waiter, Vec<JobId>)>, head: &Arc<dyn WorkerHead>) -> Vec<JobId> {
        let shared = Arc::clone(&self.shared);
        let sent = claims.into_iter().map(|(waiter, ids)| async {
            let answer = shared.store.claim_http(&waiter.claim, &ids).await;
            (waiter, ids, answer)
        });
        let (mut refused, mut unserved) = (Vec::new(), Vec::new());
        for (waiter, ids, answer) in join_all(sent).await {
            match answer {
                Ok(runs) => {
                    let claimed: HashSet<JobId> = runs.iter().map(|run| run.job.fence.id).collect();
                    refused.extend(ids.into_iter().filter(|id| !claimed.contains(id)));
                    match runs.is_empty() {
                        true => unserved.push(waiter),
                        false => self.hand_over(waiter, runs, Some(head)),
                    }
                }
                Err(error) => {
                    self.failed(waiter, &error);
                    give_back(&shared, &self.queue, ids).await;
                }
            }
        }
        for waiter in unserved.into_iter().rev() {
            self.groups.0[nth].waiters.push_front(waiter);
        }
        refused
    }

    fn failed(&self, mut waiter: Waiter, error: &Error) {
        self.shared.reconcile(&waiter.claim, waiter.turn.take());
        waiter.answer(Err(Problem::of_store(error)));
    }

    /// Answers a client. Jobs beyond its limit of bytes are released.
    fn hand_over(&self, waiter: Waiter, mut runs: Vec<HttpRun>, head: Option<&Arc<dyn WorkerHead>>) {
        let mut bytes = 0;
        let fits = |run: &&HttpRun| {
            let is_first = bytes == 0;
            bytes += run.job.payload.get().len();
            is_first || bytes <= waiter.max_bytes
        };
        let kept = runs.iter().take_while(fits).count();
        let beyond = runs.split_off(kept);
        self.shared.unconfirmed.release(beyond.iter().map(release_of).collect());
        if let Some(head) = head.cloned() {
            let (queue, lease) = (self.queue.clone(), waiter.claim.lease);
            let ids: Vec<JobId> = runs.iter().map(|run| run.job.fence.id).collect();
            // Redis keeps the hints for the time of the lease. This only saves other workers refused claims.
            tokio::spawn(async move {
                if let Err(error) = head.renew(&[(queue, ids)], lease).await {
                    tracing::debug!(%error, "hints were not renewed");
                }
            });
        }
        waiter.answer(Ok(self.shared.handed_over(runs)));
    }

    /// Claims from the line, while Redis is unavailable.
    async fn turn_without_redis(&mut self) -> Turn {
        // Claims from the line find these jobs too, and Redis keeps no leases now.
        self.parked.take_all();
        self.adopt.clear();
        let mut turn = Turn::Idle;
        for nth in 0..self.groups.0.len() {
            self.groups.0[nth].ids.clear();
            while let Some(waiter) = self.groups.0[nth].waiters.pop_front() {
                match self.shared.store.claim_line_http(&waiter.claim).await {
                    Ok(runs) if runs.is_empty() => {
                        self.groups.0[nth].waiters.push_front(waiter);
                        break;
                    }
                    Ok(runs) => {
                        turn = Turn::Busy;
                        self.hand_over(waiter, runs, None);
                    }
                    Err(error) => self.failed(waiter, &error),
                }
            }
            self.groups.0[nth].waiters.iter_mut().for_each(|waiter| waiter.is_tried = true);
        }
        if turn == Turn::Busy {
            self.waits.reset();
        }
        turn
    }
}

/// How the take ended; never ready without one.
async fn ended(take: &mut Option<Take>) -> Took {
    match take {
        Some(take) => take.ended().await,
        None => std::future::pending().await,
    }
}
