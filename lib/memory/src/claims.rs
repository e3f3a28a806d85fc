//! claim, claim_line and renew.

use crate::{
    broken::Broken,
    rows::{Row, Rows, serves},
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{ClaimedJob, Event, Fence, JobId, QueueName, State, Verb, WorkerId};
use leasehold_ports::{Kinds, Renewed};
use std::{collections::BTreeSet, time::Duration};

/// A run in danger that takes longer than this no longer blocks others.
const DANGER_S: i64 = 10;
/// At most this many jobs that have crashed before are claimed within this time.
const CRASHED_AT_ONCE: usize = 10;
const CRASHED_S: i64 = 1;

impl Rows {
    /// The first job in the lines of all queues that may be claimed and that `fits`.
    pub fn first_in_line(&self, fits: impl Fn(&Row) -> bool) -> Option<JobId> {
        let may_be_claimed = |row: &&Row| {
            self.claimability(row, self.is_paused(row), &Kinds::All).may_be_claimed() && !self.is_locked(row.life.id)
        };
        let first = self.live.values().filter(may_be_claimed).filter(|row| fits(row)).min_by_key(|row| row.place());
        first.map(|row| row.life.id)
    }

    pub(crate) fn claim(
        &mut self,
        worker: WorkerId,
        queue: &QueueName,
        hints: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Vec<ClaimedJob> {
        self.claim_careful(worker, queue, hints, kinds, usize::MAX, lease)
    }

    pub(crate) fn claim_careful(
        &mut self,
        worker: WorkerId,
        queue: &QueueName,
        hints: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Vec<ClaimedJob> {
        let mut seen = BTreeSet::new();
        let ids: Vec<JobId> = hints.iter().copied().filter(|id| seen.insert(*id)).collect();
        let is_to_be_had = |row: &&Row| {
            let is_paused = self.is_paused(row) && !self.is_broken(Broken::ClaimIgnoresPauses);
            let is_taken = row.life.state == State::Running
                && serves(kinds, &row.job.kind)
                && !is_paused
                && self.is_broken(Broken::ClaimTakesRunningJobs);
            row.job.queue == *queue
                && (is_taken || self.claimability(row, is_paused, kinds).may_be_claimed())
                && !self.is_locked(row.life.id)
        };
        let found: Vec<&Row> = ids.iter().filter_map(|id| self.live.get(id)).filter(is_to_be_had).collect();
        let mut target = self.few_that_crashed(worker, &found, self.runs_one_in_danger(worker));
        // The answer and the choice are in the order of the hints.
        target.sort_by_key(|id| hints.iter().position(|hint| hint == id));
        target.truncate(limit);
        self.start(worker, &target, lease)
    }

    pub(crate) fn claim_line(
        &mut self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Vec<ClaimedJob> {
        let danger_is_taken = self.runs_one_in_danger(worker);
        let crashed_are_taken = self.crashed_begun_by(worker) >= CRASHED_AT_ONCE;
        let limit = usize::try_from(limit).unwrap_or_default();
        let may_go = |row: &&Row| {
            let is_paused = self.is_paused(row) && !self.is_broken(Broken::ClaimIgnoresPauses);
            (with_crashed || !row.has_crashed())
                && self.claimability(row, is_paused, &Kinds::All).may_be_claimed()
                && !self.is_locked(row.life.id)
                && !if row.is_in_danger() { danger_is_taken } else { row.has_crashed() && crashed_are_taken }
        };
        let found: Vec<&Row> = self.line_of(queue, kinds).into_iter().filter(may_go).take(limit).collect();
        let target = self.few_that_crashed(worker, &found, false);
        self.start(worker, &target, lease)
    }

    pub(crate) fn queues_in_line(&self, queues: &[QueueName]) -> Vec<QueueName> {
        let has_job = |queue: &&QueueName| {
            self.live.values().any(|row| row.life.state == State::Queued && row.job.queue == **queue)
        };
        queues.iter().filter(has_job).cloned().collect()
    }

    /// Chooses from the jobs of a claim. Of the jobs in danger it takes only the first, or none if these jobs have to
    /// wait. Of the other crashed jobs it takes as many as may run together. It takes all other jobs.
    fn few_that_crashed(&self, worker: WorkerId, found: &[&Row], danger_is_taken: bool) -> Vec<JobId> {
        let ids = |which: &dyn Fn(&Row) -> bool| -> BTreeSet<JobId> {
            found.iter().filter(|row| which(row)).map(|row| row.life.id).collect()
        };
        let in_danger = ids(&Row::is_in_danger).into_iter().take(usize::from(!danger_is_taken));
        let room = CRASHED_AT_ONCE.saturating_sub(self.crashed_begun_by(worker));
        let crashed = ids(&|row| row.has_crashed() && !row.is_in_danger()).into_iter().take(room);
        let few: BTreeSet<JobId> = in_danger.chain(crashed).collect();
        found.iter().filter(|row| !row.has_crashed() || few.contains(&row.life.id)).map(|row| row.life.id).collect()
    }

    fn crashed_begun_by(&self, worker: WorkerId) -> usize {
        let since = self.clock.now() - TimeDelta::seconds(CRASHED_S);
        let begun = |row: &&Row| row.life.worker == Some(worker) && row.started_at.is_some_and(|began| began > since);
        self.live.values().filter(begun).filter(|row| row.has_crashed()).count()
    }

    fn runs_one_in_danger(&self, worker: WorkerId) -> bool {
        let since = self.clock.now() - TimeDelta::seconds(DANGER_S);
        let runs = |row: &Row| row.life.worker == Some(worker) && row.started_at.is_some_and(|began| began > since);
        self.live.values().any(|row| row.is_in_danger() && runs(row))
    }

    fn start(&mut self, worker: WorkerId, target: &[JobId], lease: Duration) -> Vec<ClaimedJob> {
        let mut claimed = Vec::with_capacity(target.len());
        for &id in target {
            // An earlier job of this claim may have taken the last slot or token of a key.
            if !self.may_start(id) && !self.is_broken(Broken::ClaimTakesRunningJobs) {
                continue;
            }
            let event = Event::Claim(worker);
            if self.happen(id, event, Some(lease), |row, now| row.begin(now)).is_err() {
                // Only if the claim is broken: the current worker loses the run.
                let Some(before) = self.live.get(&id).map(|row| row.life) else { continue };
                let after = leasehold_core::Lifecycle { epoch: before.epoch + 1, worker: Some(worker), ..before };
                self.write(id, event, after, Some(lease), |row, now| row.begin(now));
            }
            let now = self.clock.now();
            for key in self.live[&id].job.limit_keys.clone() {
                self.limits.take_token(&key, now);
            }
            let row = &self.live[&id];
            let fence = Fence { id, epoch: row.life.epoch, worker };
            let of = &row.job;
            let mut job = ClaimedJob::new(fence, of.queue.clone(), of.kind.clone(), of.payload.clone());
            job.attempt = row.life.attempt;
            job.max_attempts = row.life.max_attempts;
            job.crashes = row.life.crashes;
            job.timeout = of.timeout;
            job.line_at = row.line_at();
            job.has_parents = self.edges.has_parents(id);
            job.retry = of.retry;
            job.retry_left = match row.retry_until {
                Some(until) => Some((until - now).to_std().unwrap_or_default()),
                None => of.retry.and_then(|retry| retry.for_time),
            };
            job.due_for = self.due_for(row, now);
            job.traceparent.clone_from(&of.traceparent);
            claimed.push(job);
        }
        claimed
    }

    /// For how long a job had been due when a claim took it.
    fn due_for(&self, row: &Row, now: DateTime<Utc>) -> Option<Duration> {
        let was_released = row.trail.last().is_some_and(|last| last.verb == Verb::Release.as_str());
        if row.has_crashed() || was_released || !row.job.limit_keys.is_empty() || self.edges.has_parents(row.life.id) {
            return None;
        }
        let resumed = self.resumed.get(&row.job.queue).copied();
        let due = resumed.into_iter().chain([row.run_at, row.created_at]).max()?;
        Some((now - due).to_std().unwrap_or_default())
    }

    pub(crate) fn renew(&mut self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Vec<Renewed> {
        let ours: BTreeSet<Fence> = runs.iter().copied().filter(|fence| fence.worker == worker).collect();
        let mut renewed = Vec::with_capacity(ours.len());
        for fence in ours {
            let until = self.live.get(&fence.id).and_then(|row| row.lease_until);
            if self.is_locked(fence.id) {
                let held = self.live.get(&fence.id).filter(|row| row.life.fence() == Some(fence));
                renewed.extend(held.map(|row| Renewed {
                    id: fence.id,
                    epoch: fence.epoch,
                    cancel_wanted: row.life.cancel_wanted,
                    locked: true,
                }));
                continue;
            }
            if self.happen(fence.id, Event::Renew(fence), Some(lease), |_, _| {}).is_err() {
                continue;
            }
            let ignored = self.is_broken(Broken::ExpireIgnoresRenewals);
            if let Some(row) = self.live.get_mut(&fence.id) {
                if ignored {
                    row.lease_until = until;
                }
                let cancel_wanted = row.life.cancel_wanted;
                renewed.push(Renewed { id: fence.id, epoch: fence.epoch, cancel_wanted, locked: false });
            }
        }
        renewed
    }
}
