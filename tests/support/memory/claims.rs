//! claim, claim_line and renew.

use super::{
    broken::Broken,
    rows::{Row, Rows, serves},
};
use chrono::TimeDelta;
use leasehold_core::{ClaimedJob, Event, Fence, JobId, QueueName, State, WorkerId};
use leasehold_store::{Kinds, Renewed};
use std::{collections::BTreeSet, time::Duration};

/// A run in danger that has gone on for longer holds up no other.
const DANGER_S: i64 = 10;

impl Rows {
    pub(super) fn claim(&mut self, worker: WorkerId, ids: &[JobId], kinds: &Kinds, lease: Duration) -> Vec<ClaimedJob> {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        let is_to_be_had = |row: &&Row| {
            (row.life.state == State::Queued
                || row.life.state == State::Running && self.is_broken(Broken::ClaimTakesRunningJobs))
                && serves(kinds, &row.job.kind)
                && (!self.paused.contains(&row.job.queue) || self.is_broken(Broken::ClaimIgnoresPauses))
        };
        let found: Vec<&Row> = ids.iter().filter_map(|id| self.live.get(id)).filter(is_to_be_had).collect();
        let first = found.iter().find(|row| row.is_in_danger()).map(|row| row.life.id);
        let none = self.runs_one_in_danger(worker);
        let target: Vec<JobId> = found
            .into_iter()
            .filter(|row| !row.is_in_danger() || !none && Some(row.life.id) == first)
            .map(|row| row.life.id)
            .collect();
        self.start(worker, &target, lease)
    }

    pub(super) fn claim_line(
        &mut self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
    ) -> Vec<ClaimedJob> {
        if self.paused.contains(queue) && !self.is_broken(Broken::ClaimIgnoresPauses) {
            return Vec::new();
        }
        let none = self.runs_one_in_danger(worker);
        let limit = usize::try_from(limit).unwrap_or_default();
        let found: Vec<&Row> =
            self.line_of(queue, kinds).into_iter().filter(|row| !(none && row.is_in_danger())).take(limit).collect();
        let first = found.iter().filter(|row| row.is_in_danger()).map(|row| row.life.id).min();
        let target: Vec<JobId> = found
            .into_iter()
            .filter(|row| !row.is_in_danger() || Some(row.life.id) == first)
            .map(|row| row.life.id)
            .collect();
        self.start(worker, &target, lease)
    }

    fn runs_one_in_danger(&self, worker: WorkerId) -> bool {
        let since = self.clock.now() - TimeDelta::seconds(DANGER_S);
        let runs = |row: &Row| row.life.worker == Some(worker) && row.started_at.is_some_and(|began| began > since);
        self.live.values().any(|row| row.is_in_danger() && runs(row))
    }

    fn start(&mut self, worker: WorkerId, target: &[JobId], lease: Duration) -> Vec<ClaimedJob> {
        let mut claimed = Vec::with_capacity(target.len());
        for &id in target {
            let event = Event::Claim(worker);
            if self.happen(id, event, Some(lease), |row, now| row.started_at = Some(now)).is_err() {
                // Only where the claim is broken: the one who runs it is robbed.
                let Some(before) = self.live.get(&id).map(|row| row.life) else { continue };
                let after = leasehold_core::Lifecycle { epoch: before.epoch + 1, worker: Some(worker), ..before };
                self.write(id, event, after, Some(lease), |row, now| row.started_at = Some(now));
            }
            let row = &self.live[&id];
            claimed.push(ClaimedJob {
                fence: Fence { id, epoch: row.life.epoch, worker },
                queue: row.job.queue.clone(),
                kind: row.job.kind.clone(),
                payload: row.job.payload.clone(),
                attempt: row.life.attempt,
                max_attempts: row.life.max_attempts,
                crashes: row.life.crashes,
                timeout: row.job.timeout,
            });
        }
        claimed
    }

    pub(super) fn renew(&mut self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Vec<Renewed> {
        let ours: BTreeSet<Fence> = runs.iter().copied().filter(|fence| fence.worker == worker).collect();
        let mut renewed = Vec::with_capacity(ours.len());
        for fence in ours {
            let until = self.live.get(&fence.id).and_then(|row| row.lease_until);
            if self.happen(fence.id, Event::Renew(fence), Some(lease), |_, _| {}).is_err() {
                continue;
            }
            let ignored = self.is_broken(Broken::ExpireIgnoresRenewals);
            if let Some(row) = self.live.get_mut(&fence.id) {
                if ignored {
                    row.lease_until = until;
                }
                let cancel_wanted = row.life.cancel_wanted;
                renewed.push(Renewed { id: fence.id, epoch: fence.epoch, cancel_wanted });
            }
        }
        renewed
    }
}
