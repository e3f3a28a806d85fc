//! What every step of one tick is given.

use crate::{error::Error, heads::Heads, note::Author, report::Counts, settings::Settings};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use leasehold_ports::{ReaperHead, ReaperStore};

/// Statements of one kind in one tick, each of up to `BATCH_MAX` jobs: a flood is worked off over several
/// ticks, so that the other steps are not kept waiting.
pub(crate) const BATCHES_PER_TICK: usize = 20;

/// One tick: the stores that answered at its start, what is known of the heads, and what the step at work counts.
pub(crate) struct Tick<'a> {
    pub(crate) store: Option<&'a dyn ReaperStore>,
    pub(crate) handoff: Option<&'a dyn ReaperHead>,
    pub(crate) settings: &'a Settings,
    pub(crate) heads: &'a Heads,
    /// The time at its start, by the clock of PostgreSQL, if that answered.
    pub(crate) began: Option<DateTime<Utc>>,
    pub(crate) counts: Counts,
    /// Who ticks, for the trails of jobs.
    pub(crate) by: Author,
    /// Redis was lost a moment ago: what is put right now is one event, and no job's own.
    pub(crate) quiet: bool,
}

/// Queues worked on at once, so that many queues do not make a long tick.
const QUEUES_AT_ONCE: usize = 8;

/// Does the work of several queues at once, all of it even if some fails; then answers, or tells the first error.
pub(crate) async fn all_of<T, Work>(work: impl IntoIterator<Item = Work>) -> Result<Vec<T>, Error>
where
    Work: Future<Output = Result<T, Error>>,
{
    let work: Vec<Work> = work.into_iter().collect();
    let results: Vec<Result<T, Error>> = stream::iter(work).buffer_unordered(QUEUES_AT_ONCE).collect().await;
    results.into_iter().collect()
}

impl<'a> Tick<'a> {
    /// PostgreSQL, if it is there. A store that is away is asked once a tick, not once a step.
    pub(crate) fn store(&self) -> Result<&'a dyn ReaperStore, Error> {
        self.store.ok_or(Error::StoreAway)
    }

    /// Redis, if it is there.
    pub(crate) fn handoff(&self) -> Result<&'a dyn ReaperHead, Error> {
        self.handoff.ok_or(Error::HandoffAway)
    }
}
