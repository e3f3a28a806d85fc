//! Keeps finished jobs for a limited time: makes the partitions of the next days, and drops partitions that are too old.
//!
//! The step runs at the start of a reaper and then every ten minutes. This is often enough: a partition is made days before
//! it is needed, and a settle works without a partition.

use crate::{
    error::Error,
    step::{Needs, Period, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(600);
/// The pause after a failure. It is longer than a tick, because retention takes locks.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Retain;

#[async_trait]
impl Step for Retain {
    fn name(&self) -> &'static str {
        "retain"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn period(&self) -> Period {
        Period::After { success: EVERY, failure: AGAIN_AFTER }
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let retained = tick.store()?.retain(tick.settings.keep_finished).await?;
        let partitions = u64::from(retained.partitions_made) + u64::from(retained.partitions_dropped);
        let deleted = retained.rows_deleted + retained.edges_deleted + retained.batches_deleted;
        let changed = partitions + retained.rows_moved + deleted;
        tick.counts.found(changed);
        tick.counts.changed(changed);
        Ok(Ran::Done)
    }
}
