//! Makes the pause flags in Redis equal to PostgreSQL. They differ after a flush, after a client died between the two
//! writes, or after a pause by SQL.
//!
//! The step reads the flags in Redis before it reads the pauses in PostgreSQL. Clients write PostgreSQL first, so a flag in
//! Redis is never newer than the later read of PostgreSQL. The survey only tells whether PostgreSQL must be asked.

use crate::{
    error::Error,
    heads::Heads,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{Drift, QueueName};
use std::collections::BTreeSet;

/// The most flags that are set in one tick: after a loss of Redis, thousands may be missing.
const PAUSES_A_TICK: usize = 200;

#[derive(Debug)]
pub(crate) struct Pauses;

#[async_trait]
impl Step for Pauses {
    fn name(&self) -> &'static str {
        "pauses"
    }

    fn needs(&self) -> Needs {
        Needs::Both
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let (store, handoff) = (tick.store()?, tick.handoff()?);
        let surveyed = tick.shared.known().paused.clone();
        tick.counts.found(surveyed.len() as u64);
        let mut differences = differences(&surveyed, &tick.heads);
        if differences == Differences::default() {
            return Ok(Ran::Done);
        }
        let paused: BTreeSet<QueueName> = store.paused().await?.into_iter().collect();
        differences.to_pause.retain(|queue| paused.contains(queue));
        differences.to_resume.retain(|queue| !paused.contains(queue));
        let apart = differences.to_pause.len() + differences.to_resume.len();
        tick.counts.drifted(Drift::PauseFlag, apart as u64);
        for queue in &differences.to_pause {
            handoff.pause(queue).await?;
            changed(tick, queue);
        }
        for queue in &differences.to_resume {
            handoff.resume(queue).await?;
            changed(tick, queue);
        }
        Ok(Ran::Done)
    }
}

/// The flag of a queue was changed, so its known head is out of date.
fn changed(tick: &Tick, queue: &QueueName) {
    tick.shared.exchange().flagged.insert(queue.clone());
    tick.counts.changed(1);
    tick.counts.repaired(Drift::PauseFlag, 1);
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    to_pause: Vec<QueueName>,
    to_resume: Vec<QueueName>,
}

/// Compares the pauses with the flags. A set flag counts only if the queue was read in this tick. A queue that is not known
/// counts as not flagged.
fn differences(paused: &BTreeSet<QueueName>, heads: &Heads) -> Differences {
    let is_flagged = |queue: &QueueName| heads.get(queue).is_some_and(|head| head.paused);
    let flagged = heads.fresh().filter(|(_, head)| head.paused).map(|(queue, _)| queue);
    let to_resume: Vec<QueueName> = flagged.filter(|queue| !paused.contains(*queue)).cloned().collect();
    // If both sides have the same number, they are equal, or a queue that differs is read when its turn comes.
    if to_resume.is_empty() && heads.paused() == paused.len() {
        return Differences::default();
    }
    let to_pause = paused.iter().filter(|queue| !is_flagged(queue)).take(PAUSES_A_TICK).cloned().collect();
    Differences { to_pause, to_resume }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_ports::HeadStats;

    #[test]
    fn flags_follow_postgres_both_ways() {
        let name = |text: &str| text.parse::<QueueName>().expect("a name");
        let head = |text: &str, paused| (name(text), HeadStats { paused, ..HeadStats::default() });
        let heads = Heads::of([head("both", true), head("only-redis", true), head("neither", false)]);
        let paused = BTreeSet::from([name("both"), name("only-postgres")]);
        assert_eq!(
            differences(&paused, &heads),
            Differences { to_pause: vec![name("only-postgres")], to_resume: vec![name("only-redis")] }
        );
    }
}
