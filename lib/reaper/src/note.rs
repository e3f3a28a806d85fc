//! What is put right about a job is written into its trail, where `leasehold job show` shows it.
//!
//! Only what the comparison of line, head and leases found about a single job is. The flow of a line into its head is no
//! repair, and a Redis that has to be filled again is one event for the log and the counters: its jobs get no entries.

use crate::{error::Error, tick::Tick};
use leasehold_core::{Drift, Epoch, JobId, State};
use leasehold_ports::{Repair, Swept};
use std::time::Duration;
use uuid::Uuid;

/// More of one kind in one queue at one time is something that happened to the queue, and is not told job by job.
const NOTED_MAX: usize = 100;

/// Who puts things right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) id: Uuid,
    /// `a reaper`, `doctor`.
    pub(crate) name: &'static str,
}

/// Something that is put right about some jobs.
pub(crate) struct Mend {
    pub(crate) kind: Drift,
    /// What is done, in two words.
    pub(crate) done: &'static str,
    /// The state in which it is wrong; `None` for any live one.
    pub(crate) state: Option<State>,
}

impl Tick {
    /// Notes a repair of hints.
    pub(crate) async fn note(&self, mend: &Mend, ids: &[JobId]) -> Result<(), Error> {
        self.note_runs(mend, ids.iter().map(|id| (*id, None)).collect(), Duration::ZERO).await.map(drop)
    }

    /// Notes a repair, about certain runs if their epochs are given, of jobs that nobody has claimed for so long. Returns
    /// those it is about; all of them if it was not told job by job.
    pub(crate) async fn note_runs(
        &self,
        mend: &Mend,
        jobs: Vec<(JobId, Option<Epoch>)>,
        unclaimed_for: Duration,
    ) -> Result<usize, Error> {
        if jobs.is_empty() {
            return Ok(0);
        }
        if self.quiet || jobs.len() > NOTED_MAX {
            tracing::info!(kind = %mend.kind, jobs = jobs.len(), done = mend.done, "put right, and too many to note in each");
            return Ok(jobs.len());
        }
        let note = format!("{}: {}, by {}", mend.kind, mend.done, self.by.name);
        let repair = Repair { by: self.by.id, jobs, state: mend.state, unclaimed_for, note };
        Ok(self.store()?.note_repairs(&repair).await?.len())
    }

    /// Lists and set of a queue were made to agree.
    pub(crate) fn swept(&self, swept: Swept) {
        let things = u64::from(swept.orphans) + u64::from(swept.readmitted) + u64::from(swept.dropped);
        self.counts.found(things);
        self.counts.changed(things);
        self.counts.drifted(Drift::ListsDisagree, things);
        self.counts.repaired(Drift::ListsDisagree, things);
    }
}
