//! Brings parked jobs with fair keys into the line.
//!
//! Usually the process that enqueues a job or ends a run does this immediately. This step finds the remaining jobs: the process
//! has died, another process had the lock, jobs were enqueued by plain SQL, or the setting `fair` of a queue has changed.
//!
//! A tick checks the queues that have jobs with fair keys, in order, as far as its time allows. The next tick continues from
//! there.

use crate::{
    children::push,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

/// The queues of one statement, which holds the locks of their shares until it ends.
const QUEUES_AT_ONCE: i32 = 10;
/// A tick begins no further statement after this time.
const BUDGET: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Fair {
    /// Where the last tick ended: the last queue that was checked.
    after: String,
}

#[async_trait]
impl Step for Fair {
    fn name(&self) -> &'static str {
        "fair"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_fair
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let begun = Instant::now();
        loop {
            let admitted = tick.store()?.admit_fair_next(&self.after, QUEUES_AT_ONCE).await?;
            tick.counts.found(admitted.waiting.len() as u64);
            tick.counts.changed(admitted.waiting.len() as u64);
            if let Some(handoff) = tick.handoff.as_deref() {
                push(handoff, admitted.waiting).await?;
            }
            let is_round = admitted.last_key.is_none();
            self.after = admitted.last_key.unwrap_or_default();
            if is_round || begun.elapsed() >= BUDGET {
                break;
            }
        }
        Ok(Ran::Done)
    }
}
