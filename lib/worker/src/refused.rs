//! Sorts hints that PostgreSQL refused. One read of the jobs shows the reason, and each reason has its own treatment.

use crate::{
    claim::Queue,
    parked::Reason,
    settled_hints::{give_back, release_to},
};
use leasehold_core::{Claimability, JobId, Kind, QueueName};
use leasehold_ports::{Hint, JobStatus};
use std::collections::{BTreeMap, BTreeSet};

/// Where the refused hints go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// The job is finished, claimed by another worker, scheduled, paused, overdue, in another queue, or does not exist. The hint
    /// can be deleted without a loss.
    pub forget: Vec<JobId>,
    /// Jobs of the line that another worker has a handler for.
    pub aside: BTreeMap<Kind, Vec<Hint>>,
    /// Jobs of the line that this worker could run, but not now.
    pub park: Vec<(JobId, Reason)>,
}

impl Sorted {
    /// The number of hints of kinds that this worker does not serve.
    #[must_use]
    pub fn foreign(&self) -> usize {
        self.aside.values().map(Vec::len).sum()
    }
}

impl Queue {
    /// Looks up refused hints, and tells Redis which hints to delete and which hints to set aside. The caller parks the rest.
    pub(crate) async fn sort_refused(&self, refused: Vec<JobId>) -> Sorted {
        if refused.is_empty() {
            return Sorted::default();
        }
        let state = &self.state;
        let looked = match state.store.look(&refused, &state.kinds).await {
            Ok(looked) => looked,
            Err(error) => {
                state.postgres.failed(&error);
                give_back(state, &self.name, &refused).await;
                return Sorted { forget: refused, ..Sorted::default() };
            }
        };
        let sorted = sort(&self.name, refused, looked);
        if !sorted.forget.is_empty()
            && let Err(error) = state.handoff.ack(&[(self.name.clone(), sorted.forget.clone())]).await
        {
            state.redis.failed(&error);
        }
        for (kind, hints) in &sorted.aside {
            if let Err(error) = state.handoff.set_aside(&self.name, kind, hints).await {
                state.redis.failed(&error);
            }
        }
        sorted
    }

    /// Gives hints back that a claim had no room for, each to its position in the line: jobs that came into the line after these hints
    /// were taken may come before them.
    pub(crate) async fn give_back_in_order(&self, ids: &[JobId]) {
        let state = &self.state;
        if ids.is_empty() {
            return;
        }
        let looked = match state.store.look(ids, &state.kinds).await {
            Ok(looked) => looked,
            Err(error) => {
                state.postgres.failed(&error);
                return give_back(state, &self.name, ids).await;
            }
        };
        let (waiting, ended) = in_line(&self.name, ids, &looked);
        release_to(state, &self.name, &waiting).await;
        if !ended.is_empty()
            && let Err(error) = state.handoff.ack(&[(self.name.clone(), ended)]).await
        {
            state.redis.failed(&error);
        }
    }
}

/// The hints of live jobs with their positions, in the order of the line, and the ids that belong to no live job of the queue.
#[must_use]
pub fn in_line(queue: &QueueName, ids: &[JobId], looked: &[JobStatus]) -> (Vec<Hint>, Vec<JobId>) {
    let mut waiting: Vec<Hint> =
        looked.iter().filter(|job| job.queue == *queue).map(|job| Hint::at(job.id, job.line_at)).collect();
    waiting.sort_unstable_by_key(|hint| (hint.line_at, hint.id));
    let live: BTreeSet<JobId> = waiting.iter().map(|hint| hint.id).collect();
    let ended = ids.iter().copied().filter(|id| !live.contains(id)).collect();
    (waiting, ended)
}

/// Sorts refused hints by the state of their jobs.
#[must_use]
pub fn sort(queue: &QueueName, refused: Vec<JobId>, looked: Vec<JobStatus>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut live: BTreeMap<JobId, JobStatus> =
        looked.into_iter().filter(|job| job.queue == *queue).map(|job| (job.id, job)).collect();
    for id in refused {
        // A hint that appears twice is sorted once and deleted once.
        let Some(job) = live.remove(&id) else {
            sorted.forget.push(id);
            continue;
        };
        match job.claimability {
            // A claim did not get the job, so another transaction has locked the row. (The row of a crashed job may be
            // locked too. Such a job is tried again in any case.)
            Claimability::Claimable => sorted.park.push((id, Reason::Locked)),
            Claimability::Crashed => sorted.park.push((id, Reason::Crashed)),
            Claimability::InDanger => sorted.park.push((id, Reason::InDanger)),
            Claimability::Foreign => sorted.aside.entry(job.kind).or_default().push(Hint::at(id, job.line_at)),
            // A limit key has no token now, or another session used its lock.
            Claimability::Limited => sorted.park.push((id, job.token_in.map_or(Reason::KeyHeld, Reason::NoToken))),
            Claimability::KeyHeld => sorted.park.push((id, Reason::KeyHeld)),
            // A job whose limit key is full waits in PostgreSQL. The process that frees a slot brings the job back into the line.
            Claimability::Paused
            | Claimability::Overdue
            | Claimability::KeyFull
            | Claimability::Parked
            | Claimability::NotQueued
            | Claimability::Finished => {
                sorted.forget.push(id);
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use leasehold_core::State;

    #[test]
    fn hints_without_room_go_back_in_the_order_of_the_line() {
        let [first, second, gone, moved] = std::array::from_fn(|_| JobId::new());
        let queue = QueueName::default();
        let at = |id, queue: &QueueName, ms| JobStatus {
            token_in: None,
            id,
            state: State::Queued,
            queue: queue.clone(),
            kind: "k".parse().expect("a kind"),
            line_at: DateTime::from_timestamp_millis(ms).expect("a time"),
            claimability: Claimability::Claimable,
            lease_ms_left: None,
        };
        let elsewhere = "elsewhere".parse().expect("a queue");
        let looked = [at(second, &queue, 2), at(moved, &elsewhere, 0), at(first, &queue, 1)];
        let (waiting, ended) = in_line(&queue, &[second, gone, first, moved], &looked);
        assert_eq!(waiting.iter().map(|hint| hint.id).collect::<Vec<_>>(), [first, second]);
        assert!(waiting.iter().all(|hint| hint.line_at.is_some()), "{waiting:?}");
        assert_eq!(ended, [gone, moved]);
    }

    #[test]
    fn each_reason_has_its_place() {
        let [gone, moved, running, paused, foreign, locked, crashed, in_danger] = std::array::from_fn(|_| JobId::new());
        let queue = QueueName::default();
        let (mine, other): (Kind, Kind) = ("mine".parse().expect("a kind"), "other".parse().expect("a kind"));
        let look = |id, state, kind: &Kind, paused, crashes| JobStatus {
            token_in: None,
            id,
            state,
            queue: queue.clone(),
            kind: kind.clone(),
            line_at: DateTime::UNIX_EPOCH,
            claimability: Claimability::of(state, paused, *kind == mine, crashes, 3),
            lease_ms_left: None,
        };
        let elsewhere = "elsewhere".parse().expect("a queue");
        let looked = vec![
            JobStatus { queue: elsewhere, ..look(moved, State::Queued, &mine, false, 0) },
            look(running, State::Running, &mine, false, 0),
            look(paused, State::Queued, &mine, true, 0),
            look(foreign, State::Queued, &other, false, 0),
            look(locked, State::Queued, &mine, false, 0),
            look(crashed, State::Queued, &mine, false, 1),
            look(in_danger, State::Queued, &mine, false, 2),
        ];
        let refused = vec![gone, moved, running, paused, foreign, locked, locked, crashed, in_danger];
        let sorted = sort(&queue, refused, looked);
        assert_eq!(sorted.forget, [gone, moved, running, paused, locked], "a hint that appears twice is sorted once");
        assert_eq!(sorted.foreign(), 1);
        assert_eq!(sorted.aside, BTreeMap::from([(other, vec![Hint::at(foreign, DateTime::UNIX_EPOCH)])]));
        let parked = [(locked, Reason::Locked), (crashed, Reason::Crashed), (in_danger, Reason::InDanger)];
        assert_eq!(sorted.park, parked);
    }
}
