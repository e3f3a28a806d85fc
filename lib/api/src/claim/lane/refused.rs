//! Hints that PostgreSQL refused: why, and when they are tried again.

use super::{
    Lane, give_back,
    turn::{Decided, Turn},
};
use leasehold_core::{HANDOFF_LEASE, JobId, Kind};
use leasehold_ports::{Kinds, WorkerHead};
use leasehold_worker::{Reason, sort};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use tokio::time::Instant;

impl Lane {
    /// Finds out why hints were refused, and what to do with each. `of_group`: the group whose claims they were. Returns how many
    /// of them are of kinds that are not for this group, and how many are parked.
    pub(super) async fn sort(
        &mut self,
        refused: Vec<JobId>,
        of_group: Option<usize>,
        head: &Arc<dyn WorkerHead>,
    ) -> (usize, usize) {
        if refused.is_empty() {
            return (0, 0);
        }
        let looked = match self.shared.store.look(&refused, &self.kinds()).await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::debug!(%error, "refused hints are given back");
                give_back(&self.shared, &self.queue, refused).await;
                return (0, 0);
            }
        };
        let kinds: HashMap<JobId, Kind> = looked.iter().map(|job| (job.id, job.kind.clone())).collect();
        let mut sorted = sort(&self.queue, refused, looked);
        let mut foreign_count = sorted.foreign();
        if let Some(nth) = of_group {
            // A job whose kind is not among the kinds of the claim is for another group of this lane.
            let is_foreign = |id: &JobId| kinds.get(id).filter(|kind| !self.groups.0[nth].kinds.include(kind));
            let (foreign, park) = sorted.park.into_iter().partition(|(id, _)| is_foreign(id).is_some());
            sorted.park = park;
            let foreign: Vec<(JobId, Reason)> = foreign;
            foreign_count += foreign.len();
            for (id, _) in foreign {
                let group =
                    self.groups.0.iter_mut().find(|group| kinds.get(&id).is_some_and(|kind| group.kinds.include(kind)));
                if let Some(group) = group {
                    group.ids.push(id);
                }
            }
        }
        if !sorted.forget.is_empty()
            && let Err(error) = head.ack(&[(self.queue.clone(), sorted.forget.clone())]).await
        {
            self.shared.redis.failed(&error);
        }
        for (kind, hints) in &sorted.aside {
            if let Err(error) = head.set_aside(&self.queue, kind, hints).await {
                self.shared.redis.failed(&error);
            }
            if !self.aside_kinds.contains(kind) {
                self.aside_kinds.push(kind.clone());
            }
        }
        for id in sorted.forget.iter().chain(sorted.aside.values().flatten().map(|hint| &hint.id)) {
            self.parked.forget(*id);
        }
        let parked = sorted.park.len();
        self.parked.park(sorted.park);
        (foreign_count, parked)
    }

    /// The kinds that some claim of the lane waits for.
    fn kinds(&self) -> Kinds {
        let mut all = Vec::new();
        for group in &self.groups.0 {
            match &group.kinds {
                Kinds::All => return Kinds::All,
                Kinds::Only(kinds) => all.extend(kinds.iter().cloned()),
            }
        }
        Kinds::Only(all)
    }

    /// Tries parked hints that are due.
    pub(super) async fn turn_of_parked(&mut self, head: &Arc<dyn WorkerHead>) -> Turn {
        if self.parked.next().is_none_or(|due| due > Instant::now()) {
            return Turn::Idle;
        }
        let held = self.parked.leases_to_hold();
        if let Err(error) = head.hold(&self.queue, &held, HANDOFF_LEASE).await {
            self.shared.redis.failed(&error);
            return Turn::Idle;
        }
        let ids = self.parked.due();
        let (mut left, mut started, mut is_full) = (ids.clone(), 0, false);
        for nth in 0..self.groups.0.len() {
            if left.is_empty() {
                break;
            }
            let Some(waiter) = self.groups.0[nth].waiters.pop_front() else { continue };
            let decided: Decided = self.claim(nth, vec![(waiter, left)], head).await;
            started += decided.started;
            is_full = decided.is_full();
            left = decided.left();
        }
        let claimed: BTreeSet<JobId> = ids.iter().copied().filter(|id| !left.contains(id)).collect();
        if is_full {
            // The other hints only found no room: they stay due.
            let claimed_ids: Vec<JobId> = claimed.iter().copied().collect();
            self.parked.tried(&claimed_ids, &claimed);
            return Turn::Busy;
        }
        self.parked.tried(&ids, &claimed);
        self.sort(left, None, head).await;
        if started == 0 { Turn::Idle } else { Turn::Busy }
    }
}
