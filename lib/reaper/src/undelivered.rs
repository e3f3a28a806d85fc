//! Gives back the jobs that a server has claimed for HTTP workers but never delivered: the server died before it had written the
//! answer. No worker has received these runs, so no attempt is spent and no crash is counted.
//!
//! A server notes in PostgreSQL that an answer was written. It cannot do this while PostgreSQL is unavailable. So after an outage
//! this step waits, as `expire` does.

use crate::{
    by_queue::by_queue,
    error::Error,
    expiry_guard::Permit,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use leasehold_core::BATCH_MAX;
use leasehold_ports::{Hint, Waiting};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Undelivered;

#[async_trait]
impl Step for Undelivered {
    fn name(&self) -> &'static str {
        "undelivered"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_undelivered && tick.shared.expiry_guard().permit(Instant::now()) == Permit::All
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        for _ in 0..BATCHES_PER_TICK {
            let released = tick.store()?.release_undelivered(BATCH_MAX as i64).await?;
            let batch = released.len();
            tick.counts.found(batch as u64);
            tick.counts.changed(batch as u64);
            if let Some(handoff) = tick.handoff.as_deref() {
                let hint = |job: Waiting| (job.queue, Hint::at(job.id, job.line_at));
                for (queue, hints) in by_queue(released.into_iter().map(hint)) {
                    // A push would refuse the hint, because Redis still has the lease of the run.
                    handoff.release(&queue, &hints).await?;
                }
            }
            if batch < BATCH_MAX {
                break;
            }
        }
        Ok(Ran::Done)
    }
}
