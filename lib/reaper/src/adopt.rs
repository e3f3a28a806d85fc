//! Gives a short lease to each hint in `claimed` that has no lease. A blocking take moved the hint to `claimed`. Then the
//! worker died before it leased the hint, or it had stopped waiting when the answer came. When the short lease runs out,
//! the `leases` step returns the hint to the head.
//!
//! A slow worker loses nothing: it can still lease its hint.

use crate::{
    by_queue::all_of,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
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
