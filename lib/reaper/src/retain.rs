//! Keeps history to its age: makes the partitions of the days to come, drops those that are over.
//!
//! At the start of a reaper and every ten minutes after, not every tick: a partition is made days before it
//! is needed, and a settle works without one.

use crate::{error::Error, tick::Tick};
use std::time::Duration;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(600);
/// After a failure, sooner: but not every tick, since it takes locks.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// When the next retention is due.
#[derive(Debug, Default)]
pub(crate) struct Due(Option<Instant>);

impl Due {
    pub(crate) fn is_now(&self, now: Instant) -> bool {
        self.0.is_none_or(|due| now >= due)
    }

    pub(crate) fn done(&mut self, now: Instant, well: bool) {
        self.0 = Some(now + if well { EVERY } else { AGAIN_AFTER });
    }
}

pub(crate) async fn step(tick: &Tick<'_>) -> Result<(), Error> {
    let retained = tick.store()?.retain(tick.settings.keep_finished).await?;
    let partitions = u64::from(retained.partitions_made) + u64::from(retained.partitions_dropped);
    let changed = partitions + retained.rows_moved + retained.rows_deleted;
    tick.counts.found(changed);
    tick.counts.changed(changed);
    Ok(())
}
