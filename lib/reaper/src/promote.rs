//! Moves scheduled jobs that are due into the line, and pushes their hints.
//!
//! PostgreSQL's clock decides which jobs are due. If a hint is not pushed, because Redis is unavailable or this process
//! dies, the head step pushes it.

use crate::{
    by_queue::by_queue,
    error::Error,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, FailPoint, pass};
use leasehold_ports::Hint;

#[derive(Debug)]
pub(crate) struct Promote;

#[async_trait]
impl Step for Promote {
    fn name(&self) -> &'static str {
        "promote"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let scan_start = tick.shared.known().schedule;
        for _ in 0..BATCHES_PER_TICK {
            let due = tick.store()?.promote(BATCH_MAX as i64, scan_start.at).await?;
            let batch = due.len();
            tick.counts.found(batch as u64);
            tick.counts.changed(batch as u64);
            if batch > 0 {
                pass(FailPoint::PromoteCommitted);
            }
            if let Some(handoff) = tick.handoff.as_deref() {
                let in_line = due.into_iter().filter(|job| job.is_in_line);
                for (queue, hints) in by_queue(in_line.map(|job| (job.queue, Hint::at(job.id, job.line_at)))) {
                    handoff.push(&queue, &hints).await?;
                }
            }
            if batch < BATCH_MAX {
                if let Some(time) = tick.began {
                    tick.shared.known().schedule.done(scan_start, time);
                }
                break;
            }
        }
        Ok(Ran::Done)
    }
}
