//! Enqueues the callback jobs of sealed batches: when the first job is dead, and when all jobs have ended.
//!
//! The row of a batch says which callbacks were made, and is changed in the transaction that makes them. So it is safe to
//! run the step twice, and in several reapers.

use crate::{
    children::push,
    error::Error,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;

/// The most batches of one statement. A batch costs a count of its jobs.
const LIMIT: usize = 100;

#[derive(Debug)]
pub(crate) struct Batches;

#[async_trait]
impl Step for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_batches
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        for _ in 0..BATCHES_PER_TICK {
            let made = tick.store()?.end_batches(LIMIT as i64).await?;
            let count = made.len();
            tick.counts.found(count as u64);
            tick.counts.changed(count as u64);
            if let Some(handoff) = tick.handoff.as_deref()
                && count > 0
            {
                push(handoff, made).await?;
            }
            // A batch has up to three callbacks. Without as many callbacks as batches, the rest can wait for the next tick.
            if count < LIMIT {
                break;
            }
        }
        Ok(Ran::Done)
    }
}
