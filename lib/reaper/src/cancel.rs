//! Tells workers about cancels that somebody requested in SQL. Without this step, a worker would learn of such a cancel
//! only at its next heartbeat.
//!
//! The step repeats the notice every tick until the run has ended, because a worker that does not listen misses a notice.
//! The step does not end the run. The worker does, or `expire` if the worker is dead.

use crate::{
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, FailPoint, pass};
use leasehold_ports::Notice;

#[derive(Debug)]
pub(crate) struct Cancel;

#[async_trait]
impl Step for Cancel {
    fn name(&self) -> &'static str {
        "cancel"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let wanted = tick.store()?.cancel_wanted(BATCH_MAX as i64).await?;
        tick.counts.found(wanted.len() as u64);
        if wanted.is_empty() {
            return Ok(Ran::Done);
        }
        pass(FailPoint::CancelsRead);
        let notices: Vec<Notice> =
            wanted.into_iter().map(|run| Notice::Cancel { id: run.id, epoch: run.epoch, worker: run.worker }).collect();
        tick.handoff()?.notify(&notices).await?;
        Ok(Ran::Done)
    }
}
