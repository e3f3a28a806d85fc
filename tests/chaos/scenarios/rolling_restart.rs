//! **Fault**: a deploy: every worker in turn gets TERM, after another was started in its place and is at work.
//! **Window**: as long as that takes, with up to a second between two; twice over.
//! **Heal**: none is needed.
//! **Must hold**: no attempt is burned, nothing fails, every worker ends by itself; three quarters of the rate are kept.
//! **Converges within**: 1 s.
//! **Not covered**: handlers that take longer than the grace.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { lease_ms: 10_000, ..Shape::USUAL },
    recovers_within_s: 1.0,
    least_rate: 0.75,
    most_burned: 0,
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
