//! **Fault**: a deploy: every worker in turn gets SIGTERM, after its replacement has started its first jobs.
//! **Window**: as long as two deploys take, with up to a second between two workers.
//! **Heal**: none is needed.
//! **Must hold**: no attempt is burned, no job fails, every worker stops by itself; 75 % of the rate is kept.
//! **Converges within**: 1 s.
//! **Not covered**: handlers that take longer than the grace period.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { lease_ms: 10_000, ..Shape::USUAL },
    recovers_within_s: 1.0,
    rate_min: 0.75,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers are replaced, one after the other");
    for _ in 0..stage.members.workers.len() * 2 {
        stage.members.start_worker()?;
        let newest: Vec<u32> = stage.members.workers.last().iter().map(|worker| worker.pid()).collect();
        stage.until_at_work(&newest).await?;
        stage.members.end_first().await?;
        stage.pass(dice.millis(200..1000)).await;
    }
    stage.heals();
    Ok(())
}
