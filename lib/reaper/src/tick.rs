//! The input of every step in one tick.

use crate::{counts::Counts, error::Error, heads::Heads, report::StepReport, settings::Settings, shared::Shared};
use chrono::{DateTime, Utc};
use leasehold_ports::{ReaperHead, ReaperStore};
use std::sync::Arc;
use uuid::Uuid;

/// The most statements of one kind in one tick, each for up to `BATCH_MAX` jobs. A longer backlog takes several ticks.
pub(crate) const BATCHES_PER_TICK: usize = 20;

/// One tick of one step: the stores that answered at its start, the known heads, and the counts of the step.
pub(crate) struct Tick {
    pub(crate) store: Option<Arc<dyn ReaperStore>>,
    pub(crate) handoff: Option<Arc<dyn ReaperHead>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) heads: Arc<Heads>,
    /// The time at its start, by the clock of PostgreSQL, if PostgreSQL answered.
    pub(crate) began: Option<DateTime<Utc>>,
    /// Which transactions had ended at its start.
    pub(crate) snapshot: Option<Arc<str>>,
    /// Stopping workers have left ends of runs.
    pub(crate) has_deferred: bool,
    /// There are ended parents with children that were not told of the end.
    pub(crate) has_ended_parents: bool,
    /// Jobs with limit keys are queued.
    pub(crate) has_limited: bool,
    /// Changes of limits wait to be applied.
    pub(crate) has_limit_changes: bool,
    /// Whether jobs with fair keys are queued, or weights have changed.
    pub(crate) has_fair: bool,
    /// Whether the jobs of a line must move.
    pub(crate) has_reorders: bool,
    /// Whether a batch is sealed and not complete.
    pub(crate) has_batches: bool,
    pub(crate) has_undelivered: bool,
    /// Numbers of jobs have changed since they were last folded.
    pub(crate) has_count_changes: bool,
    /// Whether the step runs because the time has come that it had requested.
    pub(crate) is_moment: bool,
    pub(crate) counts: Counts,
    pub(crate) shared: Arc<Shared>,
    /// The author of entries in the trails of jobs.
    pub(crate) by: Author,
    /// Redis was lost a moment ago: each repair is part of this one event, and writes no notes into trails.
    pub(crate) quiet: bool,
    pub(crate) losses: Losses,
}

/// The author of a repair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) id: Uuid,
    /// `a reaper`, `doctor`.
    pub(crate) name: &'static str,
}

/// How often Redis was found empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) all: u64,
    /// Losses of a Redis that this reaper had seen before. A Redis that it sees for the first time may be new.
    pub(crate) seen: u64,
}

impl Tick {
    /// PostgreSQL, if it answered at the start of the tick. So an unavailable store is called once for each tick, not once
    /// for each step.
    pub(crate) fn store(&self) -> Result<&dyn ReaperStore, Error> {
        self.store.as_deref().ok_or(Error::StoreAway)
    }

    /// The same for a task that outlives the step.
    pub(crate) fn postgres(&self) -> Result<Arc<dyn ReaperStore>, Error> {
        self.store.clone().ok_or(Error::StoreAway)
    }

    /// Redis, if it answered at the start of the tick.
    pub(crate) fn handoff(&self) -> Result<&dyn ReaperHead, Error> {
        self.handoff.as_deref().ok_or(Error::HandoffAway)
    }

    /// Logs a run of a step. If it failed, `is_transient` says whether its next run may succeed.
    pub(crate) fn log(&self, report: &StepReport, is_transient: bool) {
        self.shared.log_step(report, is_transient, self.store.is_some() && self.handoff.is_some());
    }
}
