//! Gives a short lease to hints that a blocking take moved to `claimed` and that nobody leased since:
//! the worker died in between, or had left when the answer came. When that lease runs out, the `leases`
//! step puts them back.
//!
//! A worker that is merely slow loses nothing: it leases its hint all the same.

use crate::{
    error::Error,
    tick::{Tick, all_of},
};
use leasehold_core::{FailPoint, QueueName, pass};
use leasehold_ports::HeadStats;

pub(crate) async fn step(tick: &Tick<'_>) -> Result<(), Error> {
    tick.handoff()?;
    let with_claimed = tick.heads.fresh().filter(|(_, head)| head.claimed > 0);
    all_of(with_claimed.map(|(queue, head)| one_queue(tick, queue, head))).await.map(|_| ())
}

async fn one_queue(tick: &Tick<'_>, queue: &QueueName, head: &HeadStats) -> Result<(), Error> {
    let adopted = tick.handoff()?.adopt(queue, tick.settings.handoff_lease).await?;
    if adopted > 0 {
        pass(FailPoint::HintsAdopted);
    }
    tick.counts.found(head.claimed);
    tick.counts.changed(u64::from(adopted));
    Ok(())
}
