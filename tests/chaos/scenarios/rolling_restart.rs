//! **Fault**: a deploy: every worker in turn gets TERM, after another was started in its place.
//! **Window**: as long as that takes, with up to a second between two.
//! **Heal**: none is needed.
//! **Must hold**: no attempt is burned, nothing fails, every worker ends by itself; three quarters of the rate are kept.
//! **Converges within**: 1 s.
//! **Not covered**: handlers that take longer than the grace.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 1.0, least_rate: 0.75, most_burned: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers are replaced, one after the other");
    for _ in 0..stage.members.workers.len() {
        stage.members.roll_one().await?;
        stage.pass(dice.millis(200..1000)).await;
    }
    stage.heals();
    Ok(())
}
