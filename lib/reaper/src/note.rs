//! Writes each repair of a job into the trail of the job. `leasehold job show` shows the trail.
//!
//! Only a fault of a single job, found by a comparison of line, head and leases, is written. The normal refill of a head from
//! its line is no repair. A loss of Redis is one event for the log and the counters, and is not written into trails.

use crate::{error::Error, tick::Tick};
use leasehold_core::{Drift, Epoch, JobId, State};
use leasehold_ports::{Repair, Swept};
use std::time::Duration;

/// If more jobs of a queue have the same fault at one time, something happened to the queue, and no trail gets a note.
const NOTED_MAX: usize = 100;

/// One kind of repair.
pub(crate) struct Mend {
    pub(crate) kind: Drift,
    /// The action, in two words.
    pub(crate) done: &'static str,
    /// The state that a job must still have to get a note; `None` for any live state.
    pub(crate) state: Option<State>,
}

impl Tick {
    /// Notes a repair of hints.
    pub(crate) async fn note(&self, mend: &Mend, ids: &[JobId]) -> Result<(), Error> {
        self.note_runs(mend, ids.iter().map(|id| (*id, None)).collect(), Duration::ZERO).await.map(drop)
    }

    /// Notes a repair in the trails of jobs that no worker has claimed within `unclaimed_for`. With an epoch, the job must
    /// still have this epoch. Returns the number of repaired jobs; all of them if there were too many to note.
    pub(crate) async fn note_runs(
        &self,
        mend: &Mend,
        jobs: Vec<(JobId, Option<Epoch>)>,
        unclaimed_for: Duration,
    ) -> Result<usize, Error> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let unnoted = match (self.quiet, jobs.len() > NOTED_MAX) {
            (true, _) => Some("repaired after a loss of Redis"),
            (false, true) => Some("repaired too many jobs to note each"),
            (false, false) => None,
        };
        if let Some(message) = unnoted {
            tracing::info!(kind = %mend.kind, jobs = jobs.len(), done = mend.done, "{message}");
            return Ok(jobs.len());
        }
        let note = format!("{}: {}, by {}", mend.kind, mend.done, self.by.name);
        let repair = Repair { by: self.by.id, jobs, state: mend.state, unclaimed_for, note };
        Ok(self.store()?.note_repairs(&repair).await?.len())
    }

    /// Counts the hints that a sweep changed so that the lists and the set of a queue agree.
    pub(crate) fn swept(&self, swept: Swept) {
        let things = u64::from(swept.orphans) + u64::from(swept.readmitted) + u64::from(swept.dropped);
        self.counts.found(things);
        self.counts.changed(things);
        self.counts.drifted(Drift::ListsDisagree, things);
        self.counts.repaired(Drift::ListsDisagree, things);
    }
}
