//! Compares the hints of one queue with their jobs. This file is pure: the sweep repairs the faults that it finds, and
//! doctor reports them.
//!
//! Both stores change while they are read one after the other, so each result is only a suspicion. It becomes a fault
//! when the next check finds the same problem with the same job.

use leasehold_core::{Drift, JobId, QueueName, State};
use leasehold_ports::{Held, JobStatus, Lease, Snapshot};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// The hints of one queue in Redis.
#[derive(Debug, Default)]
pub struct QueueHints {
    /// The hint is in a list and can be taken.
    pub waiting: Vec<JobId>,
    /// The hint is leased; the rest of the lease in ms.
    pub leased: Vec<(JobId, i64)>,
}

impl QueueHints {
    /// The jobs of these hints.
    pub fn ids(&self) -> impl Iterator<Item = JobId> {
        self.waiting.iter().copied().chain(self.leased.iter().map(|(id, _)| *id))
    }
}

/// The hints in a snapshot: the waiting hints and the leased hints.
#[must_use]
pub fn hints_of(snapshot: &Snapshot) -> QueueHints {
    let mut hints = QueueHints::default();
    for (id, held) in &snapshot.held {
        match held {
            Held::Waiting => hints.waiting.push(*id),
            Held::Leased { ms_left } => hints.leased.push((*id, *ms_left)),
        }
    }
    hints
}

/// Every id that is in a list.
pub fn listed(snapshot: &Snapshot) -> impl Iterator<Item = JobId> {
    let aside = snapshot.aside.iter().flat_map(|(_, ids)| ids);
    snapshot.ready.iter().chain(&snapshot.claimed).chain(aside).copied()
}

/// A hint that does not fit its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The hint waits, but its job is finished or never existed.
    WaitsWithoutJob(JobId),
    /// The hint waits, but its job is live and not in the line.
    WaitsOutOfLine(JobId, State),
    /// The hint is leased, but its job is finished, never existed, or neither runs nor can be claimed.
    LeasedWithoutRun(JobId),
    /// The hint has been leased for longer than any hand-off takes, and its job is still in the line: no worker can
    /// take the job.
    LeasedInLine(JobId),
    /// The job runs, but Redis has no lease for it.
    RunsUnleased(JobId),
}

impl Fault {
    /// The job of the hint.
    #[must_use]
    pub const fn id(self) -> JobId {
        match self {
            Self::WaitsWithoutJob(id)
            | Self::WaitsOutOfLine(id, _)
            | Self::LeasedWithoutRun(id)
            | Self::LeasedInLine(id)
            | Self::RunsUnleased(id) => id,
        }
    }

    /// The name in metrics and reports.
    #[must_use]
    pub const fn kind(self) -> Drift {
        match self {
            Self::WaitsWithoutJob(_) => Drift::HintWithoutJob,
            Self::WaitsOutOfLine(..) => Drift::HintOutOfLine,
            Self::LeasedWithoutRun(_) => Drift::LeaseWithoutRun,
            Self::LeasedInLine(_) => Drift::LeaseInLine,
            Self::RunsUnleased(_) => Drift::LeaseMissing,
        }
    }
}

/// The faults of one queue, from its hints, the live jobs of these hints, and the runs of the queue. A job that was moved to
/// another queue counts as no job of this one.
#[must_use]
pub fn audit(
    queue: &QueueName,
    hints: &QueueHints,
    live: &HashMap<JobId, JobStatus>,
    runs: &[Lease],
    handoff_lease: Duration,
) -> Vec<Fault> {
    let state_of = |id: &JobId| live.get(id).filter(|job| job.queue == *queue).map(|job| job.state);
    let handoff_ms = i64::try_from(handoff_lease.as_millis()).unwrap_or(i64::MAX);
    let waiting = hints.waiting.iter().filter_map(|id| match state_of(id) {
        Some(State::Queued) => None,
        Some(state) => Some(Fault::WaitsOutOfLine(*id, state)),
        None => Some(Fault::WaitsWithoutJob(*id)),
    });
    let leased = hints.leased.iter().filter_map(|(id, ms_left)| match state_of(id) {
        Some(State::Running) => None,
        Some(State::Queued) => (*ms_left > handoff_ms).then_some(Fault::LeasedInLine(*id)),
        _ => Some(Fault::LeasedWithoutRun(*id)),
    });
    let known: HashMap<JobId, i64> = hints.leased.iter().copied().collect();
    let unleased = runs
        .iter()
        .filter(|run| run.lease_ms_left > 0 && !known.contains_key(&run.id))
        .map(|run| Fault::RunsUnleased(run.id));
    waiting.chain(leased).chain(unleased).collect()
}

/// Jobs at the front of the line whose hints Redis should hold and does not hold. If the line is longer than the head,
/// jobs behind all waiting hints come when there is room. A missing job before a waiting hint was overtaken.
#[must_use]
pub fn missing(front: &[JobId], hints: &QueueHints, overflow: bool) -> Vec<JobId> {
    let waiting: HashSet<JobId> = hints.waiting.iter().copied().collect();
    let held: HashSet<JobId> = waiting.iter().copied().chain(hints.leased.iter().map(|(id, _)| *id)).collect();
    let last_waiting = if overflow { front.iter().rposition(|id| waiting.contains(id)) } else { None };
    let end = last_waiting.unwrap_or(front.len());
    front[..end].iter().filter(|id| !held.contains(id)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use leasehold_core::{Claimability, WorkerId};

    fn live(states: &[State]) -> (Vec<JobId>, HashMap<JobId, JobStatus>) {
        let jobs: Vec<JobStatus> = states
            .iter()
            .map(|&state| JobStatus {
                token_in: None,
                id: JobId::new(),
                state,
                queue: QueueName::default(),
                kind: "k".parse().expect("a kind"),
                line_at: DateTime::UNIX_EPOCH,
                claimability: Claimability::of(state, false, true, 0, 3),
                lease_ms_left: None,
            })
            .collect();
        (jobs.iter().map(|job| job.id).collect(), jobs.into_iter().map(|job| (job.id, job)).collect())
    }

    const HANDOFF: Duration = Duration::from_secs(5);

    #[test]
    fn hints_that_fit_their_jobs_are_no_faults() {
        let (ids, jobs) = live(&[State::Queued, State::Queued, State::Running]);
        let hints = QueueHints { waiting: vec![ids[0]], leased: vec![(ids[1], 4_900), (ids[2], 29_000)] };
        assert_eq!(audit(&QueueName::default(), &hints, &jobs, &[], HANDOFF), []);
    }

    #[test]
    fn each_way_not_to_fit_is_told_apart() {
        let (ids, jobs) = live(&[State::Scheduled, State::Blocked, State::Queued]);
        let gone = JobId::new();
        let run = Lease {
            id: JobId::new(),
            queue: "q".parse().expect("a queue"),
            worker: WorkerId::new(),
            epoch: 1,
            lease_ms_left: 1,
        };
        let hints = QueueHints { waiting: vec![gone, ids[0]], leased: vec![(ids[1], 9), (ids[2], 60_000)] };
        assert_eq!(
            audit(&QueueName::default(), &hints, &jobs, std::slice::from_ref(&run), HANDOFF),
            [
                Fault::WaitsWithoutJob(gone),
                Fault::WaitsOutOfLine(ids[0], State::Scheduled),
                Fault::LeasedWithoutRun(ids[1]),
                Fault::LeasedInLine(ids[2]),
                Fault::RunsUnleased(run.id),
            ]
        );
    }
}
