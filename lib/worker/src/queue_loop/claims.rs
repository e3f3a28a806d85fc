//! The four ways in which the loop of a queue claims: by hints, by parked hints, from the line, and past jobs that cannot be
//! claimed.

use super::QueueLoop;
use crate::{claim::Claimed, filling::Filling, front::Tried, refused::Sorted, settled_hints::give_back, take::Took};
use leasehold_core::{BATCH_MAX, FailPoint, JobId, pass};
use leasehold_ports::Taken;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// While other jobs wait too, one slot is kept at this interval for jobs of the line that have crashed before.
const CRASHED_TURN: Duration = Duration::from_millis(100);

impl QueueLoop {
    pub(super) async fn claim_line(&mut self, free: usize) {
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
        if self.queue.state.many_queues.is_some() {
            return self.claim_line_when_told(free).await;
        }
        match self.claim_front(free).await.map(|started| started.len()) {
            Some(started) if started == free => self.waits.reset(),
            Some(started) => {
                if started > 0 {
                    self.waits.reset();
                }
                let state = Arc::clone(&self.queue.state);
                let token_in = state.store.next_token(&self.queue.name, &state.kinds).await.ok().flatten();
                tokio::select! {
                    biased;
                    () = self.pause_after_failure() => {}
                    () = sleep(token_in.unwrap_or_default()), if token_in.is_some() => {}
                    () = state.redis.until_back() => {}
                }
            }
            None => {}
        }
    }

    /// The same in a worker with many queues: waits until PostgreSQL has said that this queue has jobs.
    async fn claim_line_when_told(&mut self, free: usize) {
        let state = Arc::clone(&self.queue.state);
        tokio::select! {
            biased;
            () = state.stopping.cancelled() => return,
            () = state.redis.until_back() => return,
            () = state.postgres.until_unavailable() => return,
            () = state.wakeups[&self.queue.name].notified() => {}
        }
        if self.claim_front(free).await.is_some_and(|started| started.len() == free) {
            // There may be more of them.
            state.wakeups[&self.queue.name].notify_one();
        }
    }

    /// Claims from the front of the line: jobs that have never crashed, and, from time to time or if slots are left, as many of
    /// the crashed jobs as may run at the same time. `None`: PostgreSQL did not answer.
    async fn claim_front(&mut self, free: usize) -> Option<Vec<JobId>> {
        let is_turn = self.crashed_turn <= Instant::now();
        // At the set interval one slot is kept for crashed jobs. Otherwise they would wait while there are other jobs.
        let mut started = self.queue.claim_line(free - usize::from(is_turn && free > 1), false).await?;
        if started.len() < free {
            self.crashed_turn = Instant::now() + CRASHED_TURN;
            started.extend(self.queue.claim_line(free - started.len(), true).await?);
        }
        Some(started)
    }

    /// Claims jobs of served kinds from the line. If there are no more such jobs, the loop waits for a moment before it reads
    /// the head again.
    pub(super) async fn claim_own_kinds(&mut self, free: usize) {
        self.give_back_taken().await;
        let Some(started) = self.claim_front(free).await else { return };
        if !started.is_empty() {
            self.front.found_behind();
            self.queue.forget_unused(&started);
        }
        if started.len() == free {
            return;
        }
        let state = Arc::clone(&self.queue.state);
        tokio::select! {
            biased;
            () = sleep(self.front.pause(&state.jitter)) => {}
            () = state.wakeups[&self.queue.name].notified() => {}
            () = state.stopping.cancelled() => {}
            () = state.redis.until_unavailable() => {}
        }
    }

    /// Tries the parked hints that are due.
    pub(super) async fn claim_parked(&mut self, free: usize) {
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

    /// Leases in Redis the hint that a take got, and more hints for the other free slots. The job of the first hint is
    /// claimed at the same time.
    pub(super) async fn claim_taken(&mut self, id: JobId, free: usize) {
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
    /// be free in a moment. If jobs run long, this number is zero.
    pub(super) async fn claim(&mut self, free: usize) {
        if self.taken.is_empty() {
            let limit = self.front.hints_for(free);
            let Some(taken) = self.take_hints(&[], limit).await else { return };
            self.taken = self.took(taken, limit);
        }
        if self.front.tries_many() {
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
        let is_sure = !self.dry && self.taken.is_empty() && self.front.is_clear();
        let soon = if !is_sure { 0 } else { self.queue.capacity.soon().min(BATCH_MAX) };
        let next = async { if soon > 0 { self.take_hints(&[], soon).await } else { None } };
        let (claimed, next) = tokio::join!(self.queue.claim(&ids), next);
        if let Some(next) = next {
            self.taken = self.took(next, soon);
            self.kept_until = Instant::now() + self.queue.capacity.patience();
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
            return self.front.ran_out();
        }
        match self.queue.claim_parked(&ids, free).await {
            // The other hints may only have found no free slot.
            Claimed::Decided { started, refused } if started >= free => {
                self.front.filled();
                if self.queue.capacity.is_strict() {
                    return self.queue.give_back_in_order(&refused).await;
                }
                self.taken = refused;
                self.kept_until = Instant::now() + self.queue.capacity.patience();
            }
            Claimed::Decided { started, refused } => self.decided(started, refused).await,
            Claimed::Unanswered => give_back(&self.queue.state, &self.queue.name, &ids).await,
        }
    }

    /// Hints that other workers have set aside may come before those in the head. A worker of every kind knows their kinds only
    /// from a take, and must know them before its first one.
    pub(super) async fn learn_aside_kinds(&mut self) {
        if self.queue.state.named_kinds().is_none()
            && let Some(taken) = self.take_hints(&[], 0).await
        {
            self.aside_kinds = taken.aside;
        }
    }

    async fn take_hints(&self, adopt: &[JobId], limit: usize) -> Option<Taken> {
        let state = &self.queue.state;
        let kinds = state.named_kinds().unwrap_or(&self.aside_kinds);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let _turn = state.turn().await;
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
        let may_be_crowded = self.queue.state.named_kinds().is_some() && !self.dry;
        self.front.tried(Tried { started, foreign: sorted.foreign(), parked: sorted.park.len(), may_be_crowded });
        if self.front.is_crowded() {
            // These hints were taken together with hints of other kinds.
            self.give_back_taken().await;
        }
        self.park(sorted);
        if let Some(pause) = self.front.rest() {
            sleep(pause).await;
        }
    }
}
