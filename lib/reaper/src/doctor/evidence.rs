//! Reads the input of the checks: both stores, as close to the same moment as two stores allow.

use crate::{
    by_queue::all_of,
    error::Error,
    sweep::{RUNS_MAX, look_at},
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_line::{front_of_line, listed};
use leasehold_ports::{
    DueSchedules, JobStatus, Lease, Line, LineSummary, OperatorHead, OperatorStore, RowLocker, Served, Snapshot,
    Violation,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The number of jobs that wait for a reaper for which doctor searches for the session that has locked them.
const LOCKED_MAX: usize = 1_000;

/// The content of one reading.
pub(super) struct Evidence {
    /// Broken invariants that PostgreSQL finds in its rows.
    pub(super) violations: Vec<Violation>,
    /// The checks that PostgreSQL made.
    pub(super) checks: &'static [&'static str],
    /// Leases in PostgreSQL.
    pub(super) runs: Vec<Lease>,
    /// Every queue that is in one of the stores.
    pub(super) queues: Vec<QueueEvidence>,
    /// The sessions that have locked the rows of jobs that wait for a reaper.
    pub(super) lockers: HashMap<JobId, RowLocker>,
    /// Whether Redis has a generation.
    pub(super) generation: bool,
    /// The number of live reapers.
    pub(super) reapers: usize,
    /// The value of `maxmemory-policy`, if this user may read it.
    pub(super) eviction: Option<String>,
    /// The schedules whose next tick is in the future.
    pub(super) schedules: Option<DueSchedules>,
}

/// The content of one queue in one reading.
pub(super) struct QueueEvidence {
    pub(super) queue: QueueName,
    /// The queue is paused in PostgreSQL.
    pub(super) paused: bool,
    /// The kinds that are paused in this queue in PostgreSQL.
    pub(super) paused_kinds: Vec<Kind>,
    /// Kinds that have jobs in the line.
    pub(super) kinds: Vec<Kind>,
    /// Which kinds live workers serve.
    pub(super) served: Served,
    /// The front of the line, as the head should hold it: without paused kinds, and empty for a paused queue.
    pub(super) front: Line,
    /// All hints.
    pub(super) head: Snapshot,
    /// The live jobs of these hints.
    pub(super) live: HashMap<JobId, JobStatus>,
}

impl Evidence {
    pub(super) async fn gather(store: &dyn OperatorStore, handoff: &dyn OperatorHead) -> Result<Self, Error> {
        let generation = handoff.has_generation().await?;
        let reapers = handoff.reapers().await?;
        let eviction = handoff.eviction_policy().await?;
        let violations = store.violations().await?;
        let schedules = store.schedules_ahead().await?;
        let runs = store.leases(RUNS_MAX, None).await?;
        let overdue = runs.iter().filter(|run| run.lease_ms_left < 0).map(|run| run.id);
        let untended: BTreeSet<JobId> = violations.iter().filter_map(|violation| violation.id).chain(overdue).collect();
        let untended: Vec<JobId> = untended.into_iter().take(LOCKED_MAX).collect();
        let lockers = match untended.is_empty() {
            true => HashMap::new(),
            false => store.lockers(&untended).await?.into_iter().collect(),
        };
        let lines: BTreeMap<QueueName, LineSummary> =
            store.survey(None).await?.lines.into_iter().map(|line| (line.queue.clone(), line)).collect();
        let paused: BTreeSet<QueueName> = store.paused().await?.into_iter().collect();
        let mut paused_kinds: BTreeMap<QueueName, Vec<Kind>> = BTreeMap::new();
        for (queue, kind) in store.paused_kinds(None).await? {
            paused_kinds.entry(queue).or_default().push(kind);
        }
        let mut names: BTreeSet<QueueName> = handoff.queues().await?.into_iter().collect();
        names.extend(lines.keys().cloned());
        names.extend(paused.iter().cloned());
        names.extend(runs.iter().map(|run| run.queue.clone()));
        let gather = |name: QueueName| {
            let paused = (paused.contains(&name), paused_kinds.get(&name).cloned().unwrap_or_default());
            let line = lines.get(&name);
            QueueEvidence::gather(store, handoff, name, line, paused)
        };
        let mut queues = all_of(names.into_iter().map(gather)).await?;
        queues.sort_by(|one, other| one.queue.cmp(&other.queue));
        Ok(Self { violations, checks: store.checks(), runs, lockers, queues, generation, reapers, eviction, schedules })
    }
}

impl QueueEvidence {
    async fn gather(
        store: &dyn OperatorStore,
        handoff: &dyn OperatorHead,
        queue: QueueName,
        line: Option<&LineSummary>,
        (paused, paused_kinds): (bool, Vec<Kind>),
    ) -> Result<Self, Error> {
        let front = match line.filter(|_| !paused) {
            Some(line) => front_of_line(store, handoff, &queue, &line.stretches, handoff.head_max()).await?.0,
            None => Line::default(),
        };
        let kinds = line.map(LineSummary::kinds).unwrap_or_default();
        let head = handoff.snapshot(&queue).await?;
        let served = handoff.served_kinds(&queue).await?;
        let ids: BTreeSet<JobId> = head.held.iter().map(|(id, _)| *id).chain(listed(&head)).collect();
        let live = look_at(store, &ids.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self { queue, paused, paused_kinds, kinds, served, front, head, live })
    }
}
