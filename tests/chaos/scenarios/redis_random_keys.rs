//! **Fault**: the data in Redis is damaged at random: hints are deleted, duplicated, invented or misplaced; leases are
//! deleted, ended or made endless.
//! **Window**: 8 s, every 50 to 300 ms.
//! **Heal**: no more damage.
//! **Must hold**: no attempt is burned, because Redis grants nothing. Half of the rate is kept.
//! **Converges within**: 3 s.
//! **Not covered**: keys of a wrong type.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, rate_min: 0.5, burned_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    stage.fault_begins("the data in Redis is damaged at random");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.damage_redis(&mut redis, dice).await?;
        stage.pass(dice.millis(50..300)).await;
    }
    stage.heals();
    Ok(())
}
