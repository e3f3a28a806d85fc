//! The ways of a lane to claim for its groups: by hints, from the line by kind while jobs of other kinds block the head, and from
//! the line while Redis is unavailable.

use super::Lane;
use crate::{
    claim::{
        releases::{give_back, give_back_in_order, release_of},
        waiter::Waiter,
    },
    errors::Problem,
};
use futures_util::future::join_all;
use leasehold_core::{HANDOFF_LEASE, JobId};
use leasehold_ports::{Kinds, WorkerHead};
use leasehold_store::{Error, HttpRun};
use leasehold_worker::Tried;
use std::{collections::HashSet, sync::Arc};
use tokio::time::sleep;

/// How many statements are sent to PostgreSQL at the same time.
const AT_ONCE: usize = 8;
/// How many claims one statement makes at most, and the number of hints after which no more claims are added. PostgreSQL handles
/// them one after the other, and all of them are answered together.
const CLAIMS_TOGETHER: usize = 32;
const HINTS_TOGETHER: usize = 100;

/// The result of one turn of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There were hints or jobs: there may be more.
    Busy,
    /// There are no jobs for the waiting claims.
    Idle,
}

/// What happens to the hints of claimed jobs.
#[derive(Clone, Copy)]
enum HintsAfterClaim<'a> {
    /// Redis leased the hints for the hand-off, and keeps them for the lease of the run.
    Keep(&'a Arc<dyn WorkerHead>),
    /// The jobs were claimed from the line. Their hints that still wait would cost refused claims.
    Forget(&'a Arc<dyn WorkerHead>),
    /// Redis is unavailable.
    Unknown,
}

/// The result of claims by hints.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) started: usize,
    refused: Vec<JobId>,
    /// Hints that may only have found no room in their claim.
    untried: Vec<JobId>,
}

impl Decided {
    /// Whether some hints found no room.
    pub(super) const fn is_full(&self) -> bool {
        !self.untried.is_empty()
    }

    /// The hints without a run.
    pub(super) fn left(mut self) -> Vec<JobId> {
        self.refused.append(&mut self.untried);
        self.refused
    }
}

/// Claims with their hints, in groups: each group is one statement.
fn together(claims: Vec<(Waiter, Vec<JobId>)>) -> Vec<Vec<(Waiter, Vec<JobId>)>> {
    let mut groups: Vec<Vec<(Waiter, Vec<JobId>)>> = Vec::new();
    let mut hints = 0;
    for (waiter, ids) in claims {
        let count = ids.len();
        match groups.last_mut().filter(|group| group.len() < CLAIMS_TOGETHER && hints < HINTS_TOGETHER) {
            Some(group) => group.push((waiter, ids)),
            None => {
                groups.push(vec![(waiter, ids)]);
                hints = 0;
            }
        }
        hints += count;
    }
    groups
}

impl Lane {
    /// Tries every claim that waits once.
    pub(super) async fn turn(&mut self) -> Turn {
        let Some(head) = self.head() else { return self.turn_without_redis().await };
        let mut turn = self.turn_of_parked(&head).await;
        for nth in 0..self.groups.0.len() {
            if self.fronts.is_paused(&self.groups.0[nth]) && self.adopt.is_empty() {
                continue;
            }
            let kinds = self.groups.0[nth].kinds.clone();
            let found = match self.fronts.of(&kinds).is_crowded() {
                true => self.serve_from_line(nth, &head).await,
                false => match self.take_hints(nth, &head).await {
                    Some(is_last) => self.serve_from_head(nth, is_last, &head).await,
                    None => return Turn::Busy,
                },
            };
            match found {
                Turn::Busy => turn = Turn::Busy,
                // Only now the lane knows that there is no job for these claims.
                Turn::Idle => self.groups.0[nth].waiters.iter_mut().for_each(|waiter| waiter.is_tried = true),
            }
        }
        if turn == Turn::Busy {
            self.waits.reset();
        }
        turn
    }

    /// Takes hints for a group. Returns whether the head has no more of them; `None`: Redis did not answer.
    async fn take_hints(&mut self, nth: usize, head: &Arc<dyn WorkerHead>) -> Option<bool> {
        let group = &self.groups.0[nth];
        let (kinds, asked) = (group.kinds.clone(), group.wanted());
        let adopt = std::mem::take(&mut self.adopt);
        let missing = asked.saturating_sub(group.ids.len() + adopt.len());
        let mut missing = if missing == 0 { 0 } else { self.fronts.of(&kinds).hints_for(missing) };
        let mut adopt = adopt.as_slice();
        loop {
            let named = match &kinds {
                Kinds::All => &self.aside_kinds,
                Kinds::Only(kinds) => kinds,
            };
            let limit = u32::try_from(missing).unwrap_or(u32::MAX);
            let taken = match head.take(&self.queue, adopt, named, limit, HANDOFF_LEASE).await {
                Ok(taken) => taken,
                Err(error) => {
                    self.shared.redis.failed(&error);
                    return None;
                }
            };
            self.is_long = taken.low;
            // The hints that the take has adopted are beyond the limit.
            let got = taken.ids.iter().filter(|id| !adopt.contains(id)).count();
            missing = missing.saturating_sub(got);
            self.groups.0[nth].ids.extend(taken.ids);
            if kinds != Kinds::All {
                return Some(missing > 0);
            }
            // Other claimers have set hints aside. A claim of every kind gets them by the names of their kinds.
            let is_news = taken.aside.iter().any(|kind| !self.aside_kinds.contains(kind));
            self.aside_kinds = taken.aside;
            if missing == 0 || !is_news {
                return Some(missing > 0);
            }
            adopt = &[];
        }
    }

    /// Claims the hints of a group for its clients, in order of arrival. `is_last`: the head has no more hints.
    async fn serve_from_head(&mut self, nth: usize, is_last: bool, head: &Arc<dyn WorkerHead>) -> Turn {
        let kinds = self.groups.0[nth].kinds.clone();
        let tries_many = self.fronts.of(&kinds).tries_many();
        let group = &mut self.groups.0[nth];
        let mut ids = std::mem::take(&mut group.ids);
        if ids.is_empty() {
            self.fronts.of(&kinds).ran_out();
            return Turn::Idle;
        }
        let mut claims = Vec::new();
        while !ids.is_empty() && claims.len() < AT_ONCE * CLAIMS_TOGETHER {
            let Some(waiter) = group.waiters.pop_front() else { break };
            if !waiter.is_gone() {
                // Most of these hints cannot be claimed: one claim tries all of them.
                let share = if tries_many { ids.len() } else { waiter.claim.limit };
                let rest = ids.split_off(ids.len().min(share));
                claims.push((waiter, std::mem::replace(&mut ids, rest)));
            }
        }
        group.ids = ids;
        if claims.is_empty() {
            return Turn::Busy;
        }
        let Decided { started, refused, untried } = self.claim(nth, claims, head).await;
        self.groups.0[nth].ids.splice(..0, untried);
        if tries_many && started > 0 {
            // More hints were taken than there was room for.
            let unused = std::mem::take(&mut self.groups.0[nth].ids);
            give_back_in_order(&self.shared, &self.queue, unused).await;
        }
        let (foreign, parked) = self.sort(refused, Some(nth), head).await;
        let may_be_crowded = kinds != Kinds::All && (!is_last || self.is_long);
        let front = self.fronts.of(&kinds);
        front.tried(Tried { started, foreign, parked, may_be_crowded });
        let (is_crowded, rest) = (front.is_crowded(), front.rest());
        if is_crowded {
            // These hints were taken together with hints of other kinds.
            let unused = std::mem::take(&mut self.groups.0[nth].ids);
            give_back(&self.shared, &self.queue, unused).await;
        }
        if let Some(pause) = rest {
            sleep(pause).await;
        }
        Turn::Busy
    }

    /// Sends claims, and answers their clients.
    pub(super) async fn claim(
        &mut self,
        nth: usize,
        claims: Vec<(Waiter, Vec<JobId>)>,
        head: &Arc<dyn WorkerHead>,
    ) -> Decided {
        let shared = Arc::clone(&self.shared);
        let sent = together(claims).into_iter().map(|claims| async {
            let asked: Vec<_> = claims.iter().map(|(waiter, ids)| (&waiter.claim, ids.as_slice())).collect();
            let answer = shared.store.claim_http(&asked).await;
            (claims, answer)
        });
        let (mut decided, mut unserved) = (Decided::default(), Vec::new());
        for (claims, answer) in join_all(sent).await {
            let answers = match answer {
                Ok(answers) => answers,
                Err(error) => {
                    for (waiter, ids) in claims {
                        self.failed(waiter, &error);
                        give_back(&shared, &self.queue, ids).await;
                    }
                    continue;
                }
            };
            for ((waiter, ids), runs) in claims.into_iter().zip(answers) {
                let claimed: HashSet<JobId> = runs.iter().map(|run| run.job.fence.id).collect();
                decided.started += runs.len();
                let left = ids.into_iter().filter(|id| !claimed.contains(id));
                match runs.len() >= waiter.claim.limit {
                    true => decided.untried.extend(left),
                    false => decided.refused.extend(left),
                }
                match runs.is_empty() {
                    true => unserved.push(waiter),
                    false => self.hand_over(waiter, runs, HintsAfterClaim::Keep(head)),
                }
            }
        }
        for waiter in unserved.into_iter().rev() {
            self.groups.0[nth].waiters.push_front(waiter);
        }
        decided
    }

    /// Claims jobs of the group's kinds from the line, where an index finds them: jobs of other kinds block the head.
    async fn serve_from_line(&mut self, nth: usize, head: &Arc<dyn WorkerHead>) -> Turn {
        let group = &mut self.groups.0[nth];
        let kinds = group.kinds.clone();
        let unused = std::mem::take(&mut group.ids);
        let first: Vec<Waiter> = group.waiters.drain(..group.waiters.len().min(AT_ONCE)).collect();
        give_back(&self.shared, &self.queue, unused).await;
        match self.claim_front(nth, first, HintsAfterClaim::Forget(head)).await {
            Turn::Busy => {
                self.fronts.of(&kinds).found_behind();
                Turn::Busy
            }
            Turn::Idle => {
                self.fronts.pause(&kinds, &self.shared.jitter);
                Turn::Idle
            }
        }
    }

    /// Claims from the front of the line, without hints. Idle: no claim was answered.
    async fn claim_front(&mut self, nth: usize, waiters: Vec<Waiter>, hints: HintsAfterClaim<'_>) -> Turn {
        let (shared, sent_count) = (Arc::clone(&self.shared), waiters.len());
        let sent = waiters.into_iter().map(|waiter| async {
            let answer = shared.store.claim_line_http(&waiter.claim).await;
            (waiter, answer)
        });
        let mut unserved = Vec::new();
        for (waiter, answer) in join_all(sent).await {
            match answer {
                Ok(runs) if runs.is_empty() => unserved.push(waiter),
                Ok(runs) => self.hand_over(waiter, runs, hints),
                Err(error) => self.failed(waiter, &error),
            }
        }
        let turn = if unserved.len() < sent_count { Turn::Busy } else { Turn::Idle };
        for waiter in unserved.into_iter().rev() {
            self.groups.0[nth].waiters.push_front(waiter);
        }
        turn
    }

    fn failed(&self, mut waiter: Waiter, error: &Error) {
        self.shared.reconcile(&waiter.claim, waiter.turn.take());
        waiter.answer(Err(Problem::of_store(error)));
    }

    /// Answers a client. Jobs beyond its limit of bytes are released.
    fn hand_over(&self, waiter: Waiter, mut runs: Vec<HttpRun>, hints: HintsAfterClaim<'_>) {
        let mut bytes = 0;
        let fits = |run: &&HttpRun| {
            let is_first = bytes == 0;
            bytes += run.job.payload.get().len();
            is_first || bytes <= waiter.max_bytes
        };
        let kept = runs.iter().take_while(fits).count();
        let beyond = runs.split_off(kept);
        self.shared.unconfirmed.release(beyond.iter().map(release_of).collect());
        let ids: Vec<JobId> = runs.iter().map(|run| run.job.fence.id).collect();
        let (queue, lease) = (self.queue.clone(), waiter.claim.lease);
        // Both calls only save other workers refused claims.
        match hints {
            HintsAfterClaim::Keep(head) => {
                let head = Arc::clone(head);
                tokio::spawn(async move {
                    if let Err(error) = head.renew(&[(queue, ids)], lease).await {
                        tracing::debug!(%error, "hints were not renewed");
                    }
                });
            }
            HintsAfterClaim::Forget(head) => {
                let head = Arc::clone(head);
                let members: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
                tokio::spawn(async move {
                    if let Err(error) = head.forget(&queue, &members).await {
                        tracing::debug!(%error, "hints were not forgotten");
                    }
                });
            }
            HintsAfterClaim::Unknown => {}
        }
        let begin_in = runs.iter().map(|run| run.job.begins_in).max().unwrap_or_default();
        let answer = self.shared.handed_over(runs);
        if begin_in.is_zero() {
            return waiter.answer(Ok(answer));
        }
        // The client begins immediately, but the token of a limit key comes a moment later.
        tokio::spawn(async move {
            sleep(begin_in).await;
            waiter.answer(Ok(answer));
        });
    }

    /// Claims from the line, while Redis is unavailable.
    async fn turn_without_redis(&mut self) -> Turn {
        // Claims from the line find these jobs too, and Redis keeps no leases now.
        self.parked.take_all();
        self.adopt.clear();
        let mut turn = Turn::Idle;
        for nth in 0..self.groups.0.len() {
            let group = &mut self.groups.0[nth];
            group.ids.clear();
            let first: Vec<Waiter> = group.waiters.drain(..group.waiters.len().min(AT_ONCE)).collect();
            match self.claim_front(nth, first, HintsAfterClaim::Unknown).await {
                Turn::Busy => turn = Turn::Busy,
                Turn::Idle => self.groups.0[nth].waiters.iter_mut().for_each(|waiter| waiter.is_tried = true),
            }
        }
        if turn == Turn::Busy {
            self.waits.reset();
        }
        turn
    }
}
