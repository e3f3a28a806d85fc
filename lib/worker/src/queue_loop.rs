//! The loop of one queue. An idle worker blocks in a take. A busy worker claims for all of its free slots at once.
//! While Redis is unavailable, the worker claims from the line. While PostgreSQL is unavailable, it waits.

use crate::{
    capacity::{Capacity, PREFETCH_TIMEOUT},
    claim::{Claimed, Queue},
    filling::Filling,
    jitter::Waits,
    parked::Parked,
    refused::Sorted,
    settled_hints::give_back,
    take::{Awaited, Take, Took},
    worker_state::WorkerState,
};
use leasehold_core::{BATCH_MAX, FailPoint, JobId, Kind, QueueName, pass};
use leasehold_ports::Taken;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a take that was woken may need to end: it has already been answered, or Redis is unavailable.
const WAKING_TAKES: Duration = Duration::from_secs(2);
/// Claims in a row that start nothing before the loop slows down. Such claims are useful (each one sorts out as many
/// hints as there are free slots), but the loop must not spin if another process puts the same hints back again and
/// again.
const FRUITLESS_IN_A_ROW: u32 = 32;
const FRUITLESS_PAUSE: Duration = Duration::from_millis(10);
/// The first and the longest pause between two searches for jobs of served kinds while jobs of other kinds block the
/// head. So such a job begins within a second, whatever stands before it.
const CROWD_PAUSE_MS: (u64, u64) = (50, 400);
/// While other jobs wait too, one slot is kept at this interval for jobs of the line that have crashed before.
const CRASHED_TURN: Duration = Duration::from_millis(100);
/// The number of hints that show whether jobs of other kinds still block the head.
const CROWD_TRIAL: usize = 16;

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
    /// Claims in a row that started nothing.
    fruitless: u32,
    /// Hints whose jobs wait in the line and could not be claimed.
    parked: Parked,
    /// Whether jobs of other kinds block the head.
    crowd: Crowd,
    /// When to keep a slot for a job of the line that has crashed before.
    crashed_turn: Instant,
    /// Most of the last hints could not be claimed. There may be thousands of such hints, so many are tried together.
    is_blocked_ahead: bool,
    /// The pause between two searches for jobs of served kinds behind such hints.
    crowd_waits: Waits,
    /// Only for a worker of every kind, which cannot name all kinds: the kinds that had hints aside at the last claim.
    aside_kinds: Vec<Kind>,
    filling: Arc<Filling>,
    /// The pause after PostgreSQL did not answer, or the line was empty.
    waits: Waits,
    /// The pause after a take failed.
    take_waits: Waits,
}

/// Whether jobs of kinds that this worker does not serve stand before jobs of its own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crowd {
    /// As far as is known, no such jobs stand there.
    No,
    /// Most of the hints at the front of the head were of other kinds, and more of them wait behind. Jobs of this
    /// worker's kinds may be far behind. The worker claims them from the line, where an index finds them.
    Ahead,
    /// Jobs of other kinds blocked the head a moment ago. A few hints show whether they still do; the rest is left to
    /// other workers.
    Perhaps,
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
            fruitless: 0,
            parked,
            crowd: Crowd::No,
            crashed_turn: Instant::now(),
            is_blocked_ahead: false,
            crowd_waits: Waits::new(CROWD_PAUSE_MS.0, CROWD_PAUSE_MS.1),
            aside_kinds: Vec::new(),
            filling,
            waits: Waits::new(20, 1000),
            take_waits: Waits::new(50, 1000),
        }
    }

    /// Runs until the worker stops. Hints that the loop then still holds are given back.
    pub(crate) async fn run(mut self) {
        let state = Arc::clone(&self.queue.state);
        loop {
            let free = tokio::select! {
                biased;
                () = state.stopping.cancelled() => break,
                free = self.queue.capacity.free() => free.min(BATCH_MAX),
                () = sleep_until(self.kept_until), if !self.taken.is_empty() => {
                    self.give_back_taken().await;
                    continue;
                }
            };
            let (postgres_away, redis_away) = (state.postgres.is_unavailable(), state.redis.is_unavailable());
            if !postgres_away && !redis_away && self.parked.next().is_some_and(|due| due <= Instant::now()) {
                self.claim_parked(free).await;
                continue;
            }
            let dry = self.dry && self.taken.is_empty();
            match decide(postgres_away, redis_away, self.crowd == Crowd::Ahead, dry) {
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

    async fn probe(&mut self) {
        self.pause_after_failure().await;
        let state = &self.queue.state;
        match state.store.ping().await {
            Ok(()) => state.postgres.answered(),
            Err(error) => state.postgres.failed(&error),
        }
    }

    async fn claim_line(&mut self, free: usize) {
        // When Redis is available again, the worker first reads what the head holds.
        self.dry = false;
        // Claims from the line skip locked rows, and Redis keeps no leases now.
        self.parked.take_all();
        if let Some(Took::Hint(id)) = self.take.ended_already().await {
            self.taken.push(id);
        }
        if !self.taken.is_empty() {
            let ids = std::mem::take(&mut self.taken);
            self.claim_ids(ids).await;
            return;
        }
        match self.claim_front(free).await.map(|started| started.len()) {
            Some(started) if started == free => self.waits.reset(),
            Some(started) => {
                if started > 0 {
                    self.waits.reset();
                }
                let state = Arc::clone(&self.queue.state);
                tokio::select! {
                    biased;
                    () = self.pause_after_failure() => {}
                    () = state.redis.until_back() => {}
                }
            }
            None => {}
        }
    }

    /// Claims from the front of the line: jobs that have never crashed, and, from time to time or if slots are left, as
    /// many of the crashed jobs as may run at once. `None`: PostgreSQL did not answer.
    async fn claim_front(&mut self, free: usize) -> Option<Vec<JobId>> {
        let is_turn = self.crashed_turn <= Instant::now();
        // At the set interval one slot is kept for crashed jobs. Otherwise they would wait as long as there are other
        // jobs.
        let mut started = self.queue.claim_line(free - usize::from(is_turn && free > 1), false).await?;
        if started.len() < free {
            self.crashed_turn = Instant::now() + CRASHED_TURN;
            started.extend(self.queue.claim_line(free - started.len(), true).await?);
        }
        Some(started)
    }

    /// Claims jobs of served kinds from the line. If there are no more such jobs, waits for a moment before the head is
    /// read again.
    async fn claim_own_kinds(&mut self, free: usize) {
        self.give_back_taken().await;
        let Some(started) = self.claim_front(free).await else { return };
        if !started.is_empty() {
            self.crowd_waits.reset();
            self.queue.forget_unused(&started);
        }
        if started.len() == free {
            return;
        }
        self.crowd = Crowd::Perhaps;
        let state = Arc::clone(&self.queue.state);
        tokio::select! {
            biased;
            () = sleep(self.crowd_waits.next(&state.jitter)) => {}
            () = state.wakeups[&self.queue.name].notified() => {}
            () = state.stopping.cancelled() => {}
            () = state.redis.until_unavailable() => {}
        }
    }

    /// Tries the parked hints that are due.
    async fn claim_parked(&mut self, free: usize) {
        let state = Arc::clone(&self.queue.state);
        let held = self.parked.leases_to_hold();
        if let Err(error) = state.handoff.hold(&self.queue.name, &held, state.settings.handoff_lease()).await {
            return state.redis.failed(&error);
        }
        let ids = self.parked.due();
        if ids.is_empty() {
            return;
        }
        let Claimed::Decided { started, refused } = self.queue.claim_parked(&ids, free).await else { return };
        let claimed: BTreeSet<JobId> = ids.iter().copied().filter(|id| !refused.contains(id)).collect();
        if started >= free {
            // The other hints may only have found no free slot: they stay due.
            let claimed_ids: Vec<JobId> = claimed.iter().copied().collect();
            return self.parked.tried(&claimed_ids, &claimed);
        }
        self.parked.tried(&ids, &claimed);
        let sorted = self.queue.sort_refused(refused).await;
        self.park(sorted);
    }

    fn park(&mut self, sorted: Sorted) {
        let aside = sorted.aside.values().flatten().map(|hint| &hint.id);
        sorted.forget.iter().chain(aside).for_each(|id| self.parked.forget(*id));
        self.parked.park(sorted.park);
    }

    async fn wait_for_hint(&mut self, free: usize) {
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
            // The take continues meanwhile.
            () = sleep_until(parked_due.unwrap_or_else(Instant::now)), if parked_due.is_some() => return,
            () = state.stopping.cancelled() => return,
            () = state.redis.until_unavailable() => return,
            () = poke.notified() => self.take.cut_short(WAKING_TAKES).await,
        };
        match took {
            Some(Took::Hint(id)) => self.claim_taken(id, free).await,
            // The take got the bell, a notice of hints set aside, or nothing. A claim also finds hints that no take is
            // told about.
            Some(Took::Nothing) | None => {
                self.take_waits.reset();
                self.dry = false;
            }
            Some(Took::Failed(error)) => self.take_failed(&error).await,
        }
    }

    /// The connection was cut, or there was none to get. The next claim shows whether Redis is unavailable. The pause
    /// before that claim keeps takes and claims from failing in turns as fast as they can.
    async fn take_failed(&mut self, error: &str) {
        tracing::debug!(queue = %self.queue.name, error, "a take failed");
        self.dry = false;
        tokio::select! {
            biased;
            () = sleep(self.take_waits.next(&self.queue.state.jitter)) => {}
            () = self.queue.state.stopping.cancelled() => {}
        }
    }

    /// Leases in Redis the hint that a take got, and more hints for the other free slots. The job of the first hint is
    /// claimed at the same time.
    async fn claim_taken(&mut self, id: JobId, free: usize) {
        pass(FailPoint::HintTaken);
        self.take_waits.reset();
        if self.queue.state.stopping.is_cancelled() {
            return give_back(&self.queue.state, &self.queue.name, &[id]).await;
        }
        let ids = [id];
        // The claim comes first: the job waits for the claim.
        let (claimed, taken) = tokio::join!(biased; self.queue.claim(&ids), self.take_hints(&ids, free - 1));
        let mut others = taken.map_or_else(Vec::new, |taken| self.took(taken, free));
        others.retain(|other| *other != id);
        match claimed {
            Claimed::Unanswered => {
                others.push(id);
                give_back(&self.queue.state, &self.queue.name, &others).await;
            }
            Claimed::Decided { started, refused } => {
                self.decided(started, refused).await;
                self.claim_ids(others).await;
            }
        }
    }

    /// Claims. While PostgreSQL works on the claim, Redis hands out the hints for the next claim: as many as slots will
    /// be free in a moment. Where jobs run long, that number is zero.
    async fn claim(&mut self, free: usize) {
        if self.taken.is_empty() {
            let limit = match self.crowd {
                Crowd::No if self.is_blocked_ahead => BATCH_MAX,
                Crowd::No => free,
                Crowd::Ahead | Crowd::Perhaps => free.min(CROWD_TRIAL),
            };
            let Some(taken) = self.take_hints(&[], limit).await else { return };
            self.taken = self.took(taken, limit);
        }
        if self.is_blocked_ahead {
            return self.claim_past_blocked(free).await;
        }
        let ids: Vec<JobId> = self.taken.drain(..free.min(self.taken.len())).collect();
        if ids.is_empty() {
            return;
        }
        pass(FailPoint::HintsLeased);
        if self.queue.state.stopping.is_cancelled() {
            return self.taken.extend(ids);
        }
        let is_sure = !self.dry && self.taken.is_empty() && self.crowd == Crowd::No;
        let soon = if !is_sure { 0 } else { self.queue.capacity.soon().min(BATCH_MAX) };
        let next = async { if soon > 0 { self.take_hints(&[], soon).await } else { None } };
        let (claimed, next) = tokio::join!(self.queue.claim(&ids), next);
        if let Some(next) = next {
            self.taken = self.took(next, soon);
            self.kept_until = Instant::now() + PREFETCH_TIMEOUT;
        }
        match claimed {
            Claimed::Decided { started, refused } => self.decided(started, refused).await,
            Claimed::Unanswered => give_back(&self.queue.state, &self.queue.name, &ids).await,
        }
    }

    /// Tries many hints for the few free slots, because most of these hints cannot be claimed now.
    async fn claim_past_blocked(&mut self, free: usize) {
        let ids = std::mem::take(&mut self.taken);
        if self.queue.state.stopping.is_cancelled() {
            return self.taken.extend(ids);
        }
        if ids.is_empty() {
            self.is_blocked_ahead = false;
            return;
        }
        match self.queue.claim_parked(&ids, free).await {
            // The other hints may only have found no free slot.
            Claimed::Decided { started, refused } if started >= free => {
                self.is_blocked_ahead = false;
                self.taken = refused;
                self.kept_until = Instant::now() + PREFETCH_TIMEOUT;
            }
            Claimed::Decided { started, refused } => self.decided(started, refused).await,
            Claimed::Unanswered => give_back(&self.queue.state, &self.queue.name, &ids).await,
        }
    }

    async fn take_hints(&self, adopt: &[JobId], limit: usize) -> Option<Taken> {
        let state = &self.queue.state;
        let kinds = state.named_kinds().unwrap_or(&self.aside_kinds);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        match state.handoff.take(&self.queue.name, adopt, kinds, limit, state.settings.handoff_lease()).await {
            Ok(taken) => Some(taken),
            Err(error) => {
                state.redis.failed(&error);
                None
            }
        }
    }

    fn took(&mut self, taken: Taken, asked: usize) -> Vec<JobId> {
        if self.queue.state.named_kinds().is_none() {
            self.aside_kinds = taken.aside;
        }
        self.dry = taken.ids.len() < asked && self.aside_kinds.is_empty();
        self.long = taken.low;
        if taken.low {
            Filling::want(&self.filling);
        }
        taken.ids
    }

    async fn claim_ids(&mut self, ids: Vec<JobId>) {
        if ids.is_empty() {
            return;
        }
        if self.queue.state.stopping.is_cancelled() {
            return give_back(&self.queue.state, &self.queue.name, &ids).await;
        }
        match self.queue.claim(&ids).await {
            Claimed::Decided { started, refused } => self.decided(started, refused).await,
            Claimed::Unanswered => give_back(&self.queue.state, &self.queue.name, &ids).await,
        }
    }

    async fn decided(&mut self, started: usize, refused: Vec<JobId>) {
        self.waits.reset();
        let sorted = self.queue.sort_refused(refused).await;
        let is_crowded = self.queue.state.named_kinds().is_some() && !self.dry && sorted.foreign() > started;
        self.crowd = if is_crowded { Crowd::Ahead } else { Crowd::No };
        if is_crowded {
            // These hints were taken together with hints of other kinds.
            self.give_back_taken().await;
        }
        self.is_blocked_ahead = sorted.park.len() > started;
        self.park(sorted);
        self.fruitless = if started > 0 { 0 } else { self.fruitless.saturating_add(1) };
        if self.fruitless > FRUITLESS_IN_A_ROW {
            sleep(FRUITLESS_PAUSE).await;
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
