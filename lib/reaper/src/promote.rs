//! Moves scheduled jobs whose time has come into the line, and hints at them.
//!
//! PostgreSQL's clock decides what is due. A hint that is not pushed (Redis is away, or this process
//! dies here) is made up for by the head step.

use crate::{
    by_queue::by_queue,
    error::Error,
    tick::{BATCHES_PER_TICK, Tick},
};
use leasehold_core::{BATCH_MAX, FailPoint, pass};
use leasehold_line::Surveys;

pub(crate) async fn step(tick: &Tick<'_>, surveys: &mut Surveys) -> Result<(), Error> {
    for _ in 0..BATCHES_PER_TICK {
        let due = tick.store()?.promote(BATCH_MAX as i64, surveys.schedule_scan_start()).await?;
        let batch = due.len();
        tick.counts.found(batch as u64);
        tick.counts.changed(batch as u64);
        if batch > 0 {
            pass(FailPoint::PromoteCommitted);
        }
        if let Some(handoff) = tick.handoff {
            for ((queue, front), ids) in by_queue(due.into_iter().map(|job| (job.queue, job.priority > 0, job.id))) {
                handoff.push(&queue, &ids, front).await?;
            }
        }
        if batch < BATCH_MAX {
            if let Some(time) = tick.began {
                surveys.promoted_until(time);
            }
            break;
        }
    }
    Ok(())
}
