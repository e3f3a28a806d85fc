//! Ends waiting jobs that may not begin any more: jobs that have expired, and jobs whose time for retries has ended.
//!
//! PostgreSQL's clock decides. A claim refuses such a job too, so no such job begins before this step runs. The step also
//! removes their hints from Redis, which only saves one refused claim for each job.

use crate::{
    by_queue::by_queue,
    error::Error,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use leasehold_core::BATCH_MAX;
use leasehold_ports::Lapsed;

#[derive(Debug)]
pub(crate) struct Lapse;

#[async_trait]
impl Step for Lapse {
    fn name(&self) -> &'static str {
        "lapse"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        for _ in 0..BATCHES_PER_TICK {
            let lapsed = tick.store()?.lapse(BATCH_MAX as i64).await?;
            let batch = lapsed.len();
            tick.counts.found(batch as u64);
            tick.counts.changed(batch as u64);
            if let Some(handoff) = tick.handoff.as_deref()
                && batch > 0
            {
                let member = |job: Lapsed| (job.queue, job.id.to_string().into_bytes());
                for (queue, members) in by_queue(lapsed.into_iter().map(member)) {
                    handoff.forget(&queue, &members).await?;
                }
            }
            if batch < BATCH_MAX {
                break;
            }
        }
        Ok(Ran::Done)
    }
}
