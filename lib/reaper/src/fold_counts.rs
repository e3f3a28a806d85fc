//! Adds the noted changes of the numbers of jobs to the stored counts. Without this step the numbers would still be right, but
//! reading them would take longer and longer.

use crate::{
    error::Error,
    step::{Needs, Period, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use std::time::Duration;

/// How often a reaper checks whether there are enough changes. A reader must read the changes of at least this time one by
/// one.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a failure. The first fold after a restore counts all jobs, which may take long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct FoldCounts;

#[async_trait]
impl Step for FoldCounts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn period(&self) -> Period {
        Period::After { success: EVERY, failure: AGAIN_AFTER }
    }

    fn first_after(&self) -> Duration {
        EVERY
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_count_changes
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let folded = tick.store()?.fold_counts().await?;
        tick.counts.found(folded);
        tick.counts.changed(folded);
        Ok(if folded > 0 { Ran::Done } else { Ran::Waited })
    }
}
