//! **Fault**: the only reaper is killed. While no reaper runs, a worker is killed too.
//! **Window**: 8 s without a reaper.
//! **Heal**: a reaper is started.
//! **Must hold**: workers fill the head themselves, so 60 % of the rate is kept. The new reaper repairs what the killed
//! worker left.
//! **Converges within**: 3 s.
//! **Not covered**: hours without a reaper.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, rate_min: 0.6, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("no reaper runs");
    stage.members.reapers.clear();
    stage.pass(dice.millis(500..2000)).await;
    stage.kill_a_worker(dice)?;
    stage.pass(Duration::from_secs(6)).await;
    stage.members.start_reaper()?;
    stage.heals();
    Ok(())
}
