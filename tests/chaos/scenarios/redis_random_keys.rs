//! **Fault**: what Redis holds is damaged at random: hints deleted, doubled, invented, put where they do not belong; leases
//! forgotten, ended, made endless.
//! **Window**: 8 s, every 50 to 300 ms.
//! **Heal**: no more damage is done.
//! **Must hold**: no attempt is burned: Redis grants nothing. Half of the rate is kept.
//! **Converges within**: 3 s.
//! **Not covered**: keys of a wrong type.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, least_rate: 0.5, most_burned: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    stage.fault_begins("what Redis holds is damaged at random");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.damage_redis(&mut redis, dice).await?;
        stage.pass(dice.millis(50..300)).await;
    }
    stage.heals();
    Ok(())
}
