//! Gives a short lease to hints that a blocking take moved to `claimed` and that nobody leased since:
//! the worker died in between, or had left when the answer came. When that lease runs out, the `leases`
//! step puts them back.
//!
//! A worker that is merely slow loses nothing: it leases its hint all the same.

use crate::{
    error::Error,
    step::{Needs, Ran, Step},
    tick::{Tick, all_of},
};
use async_trait::async_trait;
use leasehold_core::{FailPoint, QueueName, pass};
use leasehold_ports::HeadStats;

#[derive(Debug)]
pub(crate) struct Adopt;

#[async_trait]
impl Step for Adopt {
    fn name(&self) -> &'static str {
        "adopt"
    }

    fn needs(&self) -> Needs {
        Needs::Redis
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let with_claimed: Vec<_> = tick.heads.fresh().filter(|(_, head)| head.claimed > 0).collect();
        all_of(with_claimed.into_iter().map(|(queue, head)| one_queue(tick, queue, head))).await?;
        Ok(Ran::Done)
    }
}

async fn one_queue(tick: &Tick, queue: &QueueName, head: &HeadStats) -> Result<(), Error> {
    let adopted = tick.handoff()?.adopt(queue, tick.settings.handoff_lease).await?;
    if adopted > 0 {
        pass(FailPoint::HintsAdopted);
    }
    tick.counts.found(head.claimed);
    tick.counts.changed(u64::from(adopted));
    Ok(())
}
