//! Makes the pause flag in Redis say what PostgreSQL says, both ways: after a flush, a client that died
//! between the two stores, or a pause written by SQL.
//!
//! The flags were read at the start of the tick, before PostgreSQL is asked here. Clients write PostgreSQL
//! first, so a flag that is seen is never ahead of what is read after it.

use crate::{drift::Drift, error::Error, tick::Tick};
use leasehold_core::QueueName;
use leasehold_handoff::HeadStats;
use std::collections::BTreeSet;

pub(crate) async fn step(tick: &Tick<'_>) -> Result<(), Error> {
    let paused: BTreeSet<QueueName> = tick.store()?.paused().await?.into_iter().collect();
    let handoff = tick.handoff()?;
    let differences = differences(&paused, tick.heads);
    tick.counts.found(paused.len() as u64);
    let apart = differences.to_pause.len() + differences.to_resume.len();
    tick.counts.drifted(Drift::PauseFlag, apart as u64);
    for queue in &differences.to_pause {
        handoff.pause(queue).await?;
        tick.counts.changed(1);
        tick.counts.repaired(Drift::PauseFlag, 1);
    }
    for queue in &differences.to_resume {
        handoff.resume(queue).await?;
        tick.counts.changed(1);
        tick.counts.repaired(Drift::PauseFlag, 1);
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    to_pause: Vec<QueueName>,
    to_resume: Vec<QueueName>,
}

fn differences(paused: &BTreeSet<QueueName>, heads: &[(QueueName, HeadStats)]) -> Differences {
    let flagged: BTreeSet<&QueueName> = heads.iter().filter(|(_, head)| head.paused).map(|(queue, _)| queue).collect();
    Differences {
        to_pause: paused.iter().filter(|queue| !flagged.contains(queue)).cloned().collect(),
        to_resume: flagged.into_iter().filter(|queue| !paused.contains(*queue)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_postgres_both_ways() {
        let name = |text: &str| text.parse::<QueueName>().expect("a name");
        let head = |text: &str, paused| (name(text), HeadStats { paused, ..HeadStats::default() });
        let heads = [head("both", true), head("only-redis", true), head("neither", false)];
        let paused = BTreeSet::from([name("both"), name("only-postgres")]);
        assert_eq!(
            differences(&paused, &heads),
            Differences { to_pause: vec![name("only-postgres")], to_resume: vec![name("only-redis")] }
        );
    }
}
