//! The lane of one queue: takes hints, claims for the clients that wait, and answers them in order of arrival.
//!
//! It does the same as the loop of a worker's queue (`lib/worker/src/queue_loop.rs`), but for many workers: N hints wake at most
//! N clients, and a waiting client uses no connection to a store. The take, the parked hints, the sorting of refused hints and
//! the rules about the front of the head are the same code. `turn` has the ways to claim, `fronts` has the conclusions about
//! each group's front.

mod fronts;
mod refused;
mod turn;

use super::{
    dispatcher::Shared,
    releases::give_back,
    waiter::{Claimed, Groups, Waiter},
};
use fronts::Fronts;
use leasehold_core::{HANDOFF_LEASE, JobId, Kind, QueueName};
use leasehold_ports::WorkerHead;
use leasehold_worker::{AwaitedTake, Parked, Take, Took, Waits};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use turn::Turn;

/// How long a lane without claims stays, with its connection: a worker that has finished its jobs claims again.
const LINGER: Duration = Duration::from_secs(30);
/// How often a lane searches for hints that no take and no notice has reported.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
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

    /// Wakes the lane: there may be hints for which no take was woken.
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
    /// The kinds that have hints aside, as far as this lane knows. Claims of every kind need the names.
    aside_kinds: Vec<Kind>,
    /// The conclusions from the last claims of each group about the front of the head.
    fronts: Fronts,
    /// The line is longer than the head: hints will come, and then the bell.
    is_long: bool,
    waits: Waits,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, queue: QueueName, mailbox: Arc<Mailbox>) -> Self {
        Self {
            take: shared.head.clone().map(|head| Take::new(head, queue.clone())),
            parked: Parked::new(HANDOFF_LEASE),
            groups: Groups::default(),
            adopt: Vec::new(),
            aside_kinds: Vec::new(),
            fronts: Fronts::default(),
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
            let unused = self.groups.tidy(|worker| self.shared.workers.is_drained(worker));
            give_back(&self.shared, &self.queue, unused).await;
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
    }

    async fn wait_for_claims(&mut self) {
        // Its hints may belong to other workers now.
        let unused = self.parked.take_all();
        give_back(&self.shared, &self.queue, unused).await;
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => {}
            () = self.mailbox.news.notified() => {}
            took = ended(&mut self.take) => self.took(took),
            () = sleep(LOOK_AGAIN) => {}
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

    /// Waits until there may be jobs, a claim arrives, or a claim must be answered without a job.
    async fn wait_for_hints(&mut self) {
        let shared = Arc::clone(&self.shared);
        let end = self.groups.next_end().unwrap_or_else(Instant::now).min(Instant::now() + LOOK_AGAIN);
        let due = self.parked.next().into_iter().chain(self.fronts.next_trial(&self.groups)).fold(end, Instant::min);
        let is_unavailable = self.head().is_none();
        // The take would only get hints of kinds that no claim of the lane wants.
        let wants_hints = !is_unavailable && self.groups.0.iter().any(|group| !self.fronts.is_paused(group));
        if let Some(take) = self.take.as_mut().filter(|_| wants_hints) {
            let awaited = if self.is_long { AwaitedTake::Bell } else { AwaitedTake::Hint };
            if let Err(error) = take.start(awaited).await {
                return shared.redis.failed(&error);
            }
        }
        // Without Redis, the lane searches the line again after a pause with jitter: one statement for the whole lane.
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
                // The next call shows whether Redis is unavailable. Takes must not fail in a tight loop.
                sleep(self.waits.next(&shared.jitter)).await;
            }
            self.took(took);
        }
    }
}

/// How the take ended; never ready without one.
async fn ended(take: &mut Option<Take>) -> Took {
    match take {
        Some(take) => take.ended().await,
        None => std::future::pending().await,
    }
}
