//! What a reaper asks and does.

use super::{
    broken::Broken,
    rows::{Row, Rows},
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{Event, JobId, Kind, Lifecycle, QueueName, State, Verb, WorkerId};
use leasehold_store::{CancelWanted, Expired, Kinds, Lease, Line, LineSummary, Looked, Place, Repair, Waiting};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

impl Rows {
    pub(super) fn expire(&mut self, limit: i64) -> Vec<Expired> {
        let now = self.clock.now();
        let mut lapsed: Vec<(DateTime<Utc>, JobId)> = self
            .live
            .values()
            .filter_map(|row| row.lease_until.filter(|until| *until < now).map(|until| (until, row.life.id)))
            .collect();
        lapsed.sort();
        lapsed.truncate(usize::try_from(limit).unwrap_or_default());
        lapsed.into_iter().filter_map(|(_, id)| self.expire_one(id)).collect()
    }

    fn expire_one(&mut self, id: JobId) -> Option<Expired> {
        let row = self.live.get(&id)?;
        let (before, queue, priority) = (row.life, row.job.queue.clone(), row.job.priority);
        let worker = before.worker?;
        let mut after = before.apply(Event::Expire).ok()?;
        if self.is_broken(Broken::ExpireCountsNoCrash) && !before.cancel_wanted {
            after = Lifecycle { state: State::Queued, worker: None, attempt: before.attempt - 1, ..before };
        }
        self.write(id, Event::Expire, after, None, |row, now| {
            row.note(now, Verb::Expire, Some(worker), None);
            if after.state == State::Dead && after.crashes >= after.max_crashes {
                row.last_error = Some(format!("its lease ran out {} times, as often as is allowed", after.crashes));
            } else if after.state == State::Dead {
                row.last_error = Some("its lease ran out in its last attempt".to_owned());
            }
        });
        Some(Expired { id, queue, priority, worker, epoch: before.epoch, state: after.state })
    }

    pub(super) fn promote(&mut self, limit: i64) -> Vec<Waiting> {
        if self.is_broken(Broken::NothingIsPromoted) {
            return Vec::new();
        }
        let now = self.clock.now();
        let is_due = |row: &&Row| row.life.state == State::Scheduled && row.run_at <= now;
        let mut due: Vec<(DateTime<Utc>, JobId)> =
            self.live.values().filter(is_due).map(|row| (row.run_at, row.life.id)).collect();
        due.sort();
        due.truncate(usize::try_from(limit).unwrap_or_default());
        due.into_iter().filter_map(|(_, id)| self.put_in_line(id, Event::Promote)).collect()
    }

    pub(super) fn unblock(&mut self, ids: &[JobId]) -> Vec<Waiting> {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        ids.into_iter().filter_map(|id| self.put_in_line(id, Event::Unblock)).collect()
    }

    fn put_in_line(&mut self, id: JobId, event: Event) -> Option<Waiting> {
        self.happen(id, event, None, |row, now| row.run_at = row.run_at.min(now)).ok()?;
        let row = self.live.get(&id)?;
        Some(Waiting { id, queue: row.job.queue.clone(), priority: row.job.priority })
    }

    pub(super) fn cancel_wanted(&self, limit: i64) -> Vec<CancelWanted> {
        let wanted = self.live.values().filter(|row| row.life.cancel_wanted).filter_map(|row| {
            let fence = row.life.fence()?;
            Some(CancelWanted { id: fence.id, queue: row.job.queue.clone(), worker: fence.worker, epoch: fence.epoch })
        });
        wanted.take(usize::try_from(limit).unwrap_or_default()).collect()
    }

    pub(super) fn look(&self, ids: &[JobId]) -> Vec<Looked> {
        let ids: BTreeSet<&JobId> = ids.iter().collect();
        let live = ids.into_iter().filter_map(|id| self.live.get(id));
        live.map(|row| Looked {
            id: row.life.id,
            state: row.life.state,
            kind: row.job.kind.clone(),
            paused: self.paused.contains(&row.job.queue),
            lease_ms_left: row.lease_until.map(|until| self.ms_until(until)),
        })
        .collect()
    }

    pub(super) fn note_repairs(&mut self, repair: &Repair) -> Vec<JobId> {
        let now = self.clock.now();
        let waits_since = now - TimeDelta::from_std(repair.unclaimed_for).unwrap_or(TimeDelta::MAX);
        let mut noted = Vec::new();
        for (id, epoch) in &repair.jobs {
            let Some(row) = self.live.get_mut(id) else { continue };
            let fits = epoch.is_none_or(|epoch| epoch == row.life.epoch)
                && repair.state.is_none_or(|state| state == row.life.state)
                && row.started_at.is_none_or(|started| started <= waits_since);
            if !fits {
                continue;
            }
            let said = row.trail.last().is_some_and(|last| {
                last.verb == "repair" && last.epoch == row.life.epoch && last.note.as_deref() == Some(&*repair.note)
            });
            if !said {
                row.enter(now, "repair".to_owned(), Some(WorkerId(repair.by)), Some(repair.note.clone()));
            }
            noted.push(*id);
        }
        noted
    }

    pub(super) fn held(&self, worker: WorkerId) -> Vec<Lease> {
        let runs = self.live.values().filter(|row| row.life.worker == Some(worker));
        runs.filter_map(|row| self.lease_of(row)).collect()
    }

    fn lease_of(&self, row: &Row) -> Option<Lease> {
        let fence = row.life.fence()?;
        Some(Lease {
            id: fence.id,
            queue: row.job.queue.clone(),
            worker: fence.worker,
            epoch: fence.epoch,
            lease_ms_left: self.ms_until(row.lease_until?),
        })
    }

    pub(super) fn leases(&self, limit: i64) -> Vec<Lease> {
        let mut leases: Vec<Lease> = self.live.values().filter_map(|row| self.lease_of(row)).collect();
        leases.sort_by_key(|lease| (lease.lease_ms_left, lease.id));
        leases.truncate(usize::try_from(limit).unwrap_or_default());
        leases
    }

    fn ms_until(&self, time: DateTime<Utc>) -> i64 {
        (time - self.clock.now()).num_milliseconds()
    }

    pub(super) fn lines(&self) -> Vec<LineSummary> {
        let mut lines: BTreeMap<&QueueName, BTreeSet<&Kind>> = BTreeMap::new();
        for row in self.live.values().filter(|row| row.life.state == State::Queued) {
            lines.entry(&row.job.queue).or_default().insert(&row.job.kind);
        }
        let summary = |(queue, kinds): (&QueueName, BTreeSet<&Kind>)| LineSummary {
            queue: queue.clone(),
            kinds: kinds.into_iter().cloned().collect(),
            paused: self.paused.contains(queue),
        };
        lines.into_iter().map(summary).collect()
    }

    pub(super) fn line(&self, queue: &QueueName, kinds: &Kinds, limit: i64) -> Line {
        first_of(&self.line_of(queue, kinds), limit)
    }

    pub(super) fn line_after(&self, queue: &QueueName, kinds: &Kinds, after: &Place, limit: i64) -> Line {
        let line = self.line_of(queue, kinds);
        let place = (Reverse(after.priority), after.run_at, after.id);
        first_of(&line[line.partition_point(|row| row.place() <= place)..], limit)
    }
}

fn first_of(line: &[&Row], limit: i64) -> Line {
    let kept = &line[..line.len().min(usize::try_from(limit).unwrap_or_default())];
    let place = |row: &&Row| Place { priority: row.job.priority, run_at: row.run_at, id: row.life.id };
    let ids = kept.iter().map(|row| row.life.id).collect();
    Line { more: line.len() > kept.len(), ids, last: kept.last().map(place) }
}
