//! Applies changes of limits, and brings jobs that wait for room of a limit key back into the line.
//!
//! Usually the process that ends a run does this immediately. This step finds the remaining jobs: the process has died, the run
//! has expired, a limit was changed, a token has come, or a job was enqueued by plain SQL.
//!
//! A tick checks the keys whose next token comes, and then the keys for which jobs wait, in order, as far as its time allows. The
//! next tick continues from there.

use crate::{
    children::push,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

/// The number of keys of one statement. The statement holds the locks of the keys with room until it ends.
const KEYS_AT_ONCE: i32 = 100;
/// The most jobs of one queue and kind that a key without a limit gets into the line in one statement.
const JOBS_AT_ONCE: i32 = 1000;
/// A tick begins no further statement after this time. A key with room and without a limit can have any number of jobs.
const BUDGET: Duration = Duration::from_millis(100);
/// The same while a round takes several ticks, because jobs wait for thousands of keys. Nearly all of these keys are full, or have no
/// token. The keys whose tokens come are checked in each tick.
const BUDGET_OF_MANY: Duration = Duration::from_millis(25);

#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Where the last tick ended: the last key that was checked.
    after: String,
}

#[async_trait]
impl Step for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && (tick.has_limited || tick.has_limit_changes)
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let begun = Instant::now();
        if tick.has_limit_changes {
            // If claims under way take too long, the next tick tries again.
            tick.store()?.apply_limits().await?;
        }
        let came = tick.store()?.admit_tokens(JOBS_AT_ONCE).await?;
        tick.counts.found(came.len() as u64);
        tick.counts.changed(came.len() as u64);
        if let Some(handoff) = tick.handoff.as_deref() {
            push(handoff, came).await?;
        }
        let budget = if self.after.is_empty() { BUDGET } else { BUDGET_OF_MANY };
        loop {
            let admitted = tick.store()?.admit_next(&self.after, KEYS_AT_ONCE, JOBS_AT_ONCE).await?;
            tick.counts.found(admitted.waiting.len() as u64);
            tick.counts.changed(admitted.waiting.len() as u64);
            if let Some(handoff) = tick.handoff.as_deref() {
                push(handoff, admitted.waiting).await?;
            }
            let is_round = admitted.last_key.is_none();
            self.after = admitted.last_key.unwrap_or_default();
            if is_round || begun.elapsed() >= budget {
                break;
            }
        }
        Ok(Ran::Done)
    }
}
