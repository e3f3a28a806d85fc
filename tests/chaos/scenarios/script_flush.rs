//! **Fault**: Redis drops its scripts, again and again.
//! **Window**: 6 s, every 20 to 200 ms.
//! **Heal**: the scripts stay.
//! **Must hold**: no attempt is burned; 90 % of the rate is kept.
//! **Converges within**: 1 s.
//! **Not covered**: a server that refuses to load scripts.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 1.0, rate_min: 0.9, burned_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    stage.fault_begins("Redis drops its scripts");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await?;
        stage.pass(dice.millis(20..200)).await;
    }
    stage.heals();
    Ok(())
}
