//! The loop of one queue. An idle worker blocks in a take. A busy worker claims for all of its free slots in one
//! statement. While Redis is unavailable, the worker claims from the line. While PostgreSQL is unavailable, it waits.
//!
//! This file decides what the loop does next. `claims.rs` has the ways to claim.

mod claims;

use crate::{
    capacity::Capacity,
    claim::Queue,
    filling::Filling,
    front::Front,
    jitter::Waits,
    parked::Parked,
    settled_hints::give_back,
    take::{Awaited, Take, Took},
    worker_state::WorkerState,
};
use leasehold_core::{BATCH_MAX, JobId, Kind, QueueName};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a take that was woken may need to end: it has already been answered, or Redis is unavailable.
const WAKING_TAKES: Duration = Duration::from_secs(2);

/// How long a worker relies on its last read of the order of the queue.
const ORDER_KNOWN_FOR: Duration = Duration::from_secs(5);

/// The loop of one queue.
pub(crate) struct QueueLoop {
    queue: Queue,
    take: Take,
    /// Hints that Redis handed out while PostgreSQL worked on the previous claim. The next claim is for these hints.
    taken: Vec<JobId>,
    /// How long these hints are kept if no slot is free for them.
    kept_until: Instant,
    /// The last claim got less than it asked for: the head is empty.
    dry: bool,
    /// At the last reading the head was low and the line was longer than the head. Thousands of hints will come, and
    /// then the bell.
    long: bool,
    /// Hints whose jobs wait in the line and could not be claimed.
    parked: Parked,
    /// Until when the worker relies on its last read of the order of the queue.
    order_known_until: Instant,
    /// The conclusions from the last claims about the front of the head.
    front: Front,
    /// When to keep a slot for a job of the line that has crashed before.
    crashed_turn: Instant,
    /// Only for a worker of every kind, which cannot name all kinds: the kinds that had hints aside at the last claim.
    aside_kinds: Vec<Kind>,
    filling: Arc<Filling>,
    /// The pause after PostgreSQL did not answer, or the line was empty.
    waits: Waits,
    /// The pause after a take failed.
    take_waits: Waits,
}

/// The next action of a loop with a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// PostgreSQL is unavailable: check whether it is available again.
    Probe,
    /// Redis is unavailable: claim from the line.
    Line,
    /// Jobs of other kinds block the head: claim from the line, by kind.
    OwnKinds,
    /// The head is empty: wait for a hint, or for the bell.
    Take,
    /// Claim.
    Claim,
}

const fn decide(postgres_away: bool, redis_away: bool, is_crowded_out: bool, dry: bool) -> Move {
    match (postgres_away, redis_away, is_crowded_out, dry) {
        (true, ..) => Move::Probe,
        (false, true, ..) => Move::Line,
        (false, false, true, _) => Move::OwnKinds,
        (false, false, false, true) => Move::Take,
        (false, false, false, false) => Move::Claim,
    }
}

impl QueueLoop {
    pub(crate) fn new(state: Arc<WorkerState>, name: QueueName, capacity: Arc<Capacity>) -> Self {
        let take = Take::new(Arc::clone(&state.handoff), name.clone());
        let filling = Arc::new(Filling::new(Arc::clone(&state), name.clone()));
        let parked = Parked::new(state.settings.handoff_lease());
        Self {
            queue: Queue { state, name, capacity },
            take,
            taken: Vec::new(),
            kept_until: Instant::now(),
            dry: false,
            long: false,
            parked,
            order_known_until: Instant::now(),
            front: Front::new(),
            crashed_turn: Instant::now(),
            aside_kinds: Vec::new(),
            filling,
            waits: Waits::new(20, 1000),
            take_waits: Waits::new(50, 1000),
        }
    }

    /// Runs until the worker stops. Hints that the loop then still holds are given back.
    pub(crate) async fn run(mut self) {
        let state = Arc::clone(&self.queue.state);
        self.learn_aside_kinds().await;
        loop {
            self.learn_order().await;
            let next_token = self.parked.next_token();
            let free = tokio::select! {
                biased;
                () = state.stopping.cancelled() => break,
                free = self.queue.capacity.free() => free.min(BATCH_MAX),
                () = sleep_until(self.kept_until), if !self.taken.is_empty() => {
                    self.give_back_taken().await;
                    continue;
                }
                // No slot is free when a token comes: another worker may have one.
                () = sleep_until(next_token.unwrap_or_else(Instant::now)), if next_token.is_some() => {
                    let ids = self.parked.take_tokens_due();
                    give_back(&state, &self.queue.name, &ids).await;
                    continue;
                }
            };
            let (postgres_away, redis_away) = (state.postgres.is_unavailable(), state.redis.is_unavailable());
            if !postgres_away && !redis_away && self.parked.next().is_some_and(|due| due <= Instant::now()) {
                self.claim_parked(free).await;
                continue;
            }
            let dry = self.dry && self.taken.is_empty();
            match decide(postgres_away, redis_away, self.front.is_crowded(), dry) {
                Move::Probe => self.probe().await,
                Move::Line => self.claim_line(free).await,
                Move::OwnKinds => self.claim_own_kinds(free).await,
                Move::Take => self.wait_for_hint(free).await,
                Move::Claim => self.claim(free).await,
            }
        }
        if let Some(Took::Hint(id)) = self.take.cut_short(WAKING_TAKES).await {
            self.taken.push(id);
        }
        self.taken.extend(self.parked.take_all());
        self.give_back_taken().await;
    }

    async fn give_back_taken(&mut self) {
        let ids = std::mem::take(&mut self.taken);
        give_back(&self.queue.state, &self.queue.name, &ids).await;
    }

    /// Reads whether the queue is strict, before this worker prefetches jobs. A worker whose jobs are too long for a
    /// prefetch does not read this, and an idle worker does not read it either.
    async fn learn_order(&mut self) {
        let Queue { state, name, capacity } = &self.queue;
        if !capacity.has_claimed()
            || self.order_known_until > Instant::now()
            || capacity.soon_in_any_order() == 0
            || state.postgres.is_unavailable()
        {
            return;
        }
        // If PostgreSQL does not answer, the next claim shows it.
        if let Ok(is_strict) = state.store.is_strict(name).await {
            capacity.set_strict(is_strict);
            self.order_known_until = Instant::now() + ORDER_KNOWN_FOR;
        }
    }

    async fn probe(&mut self) {
        let state = &self.queue.state;
        if state.many_queues.is_some() {
            // One task asks for all queues.
            tokio::select! {
                biased;
                () = state.stopping.cancelled() => {}
                () = state.postgres.until_back() => {}
            }
            return;
        }
        self.pause_after_failure().await;
        let state = &self.queue.state;
        match state.store.ping().await {
            Ok(()) => state.postgres.answered(),
            Err(error) => state.postgres.failed(&error),
        }
    }

    async fn wait_for_hint(&mut self, free: usize) {
        if self.queue.state.many_queues.is_some() {
            return self.wait_among_many().await;
        }
        let awaited = if self.long { Awaited::Bell } else { Awaited::Hint };
        if let Err(error) = self.take.start(awaited).await {
            return self.take_failed(&error.to_string()).await;
        }
        let state = Arc::clone(&self.queue.state);
        let poke = &state.wakeups[&self.queue.name];
        let parked_due = self.parked.next();
        let took = tokio::select! {
            biased;
            took = self.take.ended() => Some(took),
            // The take continues.
            () = sleep_until(parked_due.unwrap_or_else(Instant::now)), if parked_due.is_some() => return,
            () = state.stopping.cancelled() => return,
            () = state.redis.until_unavailable() => return,
            () = poke.notified() => self.take.cut_short(WAKING_TAKES).await,
        };
        match took {
            Some(Took::Hint(id)) => self.claim_taken(id, free).await,
            // The take got the bell, a notice of hints set aside, or nothing. A claim also finds hints for which no
            // take was woken.
            Some(Took::Nothing) | None => {
                self.take_waits.reset();
                self.dry = false;
            }
            Some(Took::Failed(error)) => self.take_failed(&error).await,
        }
    }

    /// The wait for a hint in a worker with many queues.
    async fn wait_among_many(&mut self) {
        let state = Arc::clone(&self.queue.state);
        if let Some(many) = &state.many_queues {
            many.wait(&self.queue.name);
        }
        let parked_due = self.parked.next();
        tokio::select! {
            biased;
            () = state.wakeups[&self.queue.name].notified() => self.dry = false,
            () = sleep_until(parked_due.unwrap_or_else(Instant::now)), if parked_due.is_some() => {}
            () = state.stopping.cancelled() => {}
            () = state.redis.until_unavailable() => {}
        }
    }

    /// The connection was cut, or no connection could be made. The next claim shows whether Redis is unavailable. The
    /// pause before that claim keeps takes and claims from failing in turns as fast as they can.
    async fn take_failed(&mut self, error: &str) {
        tracing::debug!(queue = %self.queue.name, error, "a take failed");
        self.dry = false;
        tokio::select! {
            biased;
            () = sleep(self.take_waits.next(&self.queue.state.jitter)) => {}
            () = self.queue.state.stopping.cancelled() => {}
        }
    }

    async fn pause_after_failure(&mut self) {
        tokio::select! {
            biased;
            () = sleep(self.waits.next(&self.queue.state.jitter)) => {}
            () = self.queue.state.stopping.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_comes_first_then_redis_then_the_head() {
        for (dry, crowded) in [(false, false), (false, true), (true, false), (true, true)] {
            for redis_away in [false, true] {
                assert_eq!(decide(true, redis_away, crowded, dry), Move::Probe);
            }
            assert_eq!(decide(false, true, crowded, dry), Move::Line);
            assert_eq!(decide(false, false, true, dry), Move::OwnKinds);
        }
        assert_eq!(decide(false, false, false, true), Move::Take);
        assert_eq!(decide(false, false, false, false), Move::Claim);
    }
}
