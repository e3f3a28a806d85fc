//! **Fault**: three reapers at once, one of which is killed and replaced all the time, while workers are killed too.
//! **Window**: 8 s.
//! **Heal**: they are left alone.
//! **Must hold**: what three do is as if one had done it.
//! **Converges within**: 3 s.
//! **Not covered**: reapers of different versions.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { reapers: 3, max_crashes: 20, ..Shape::USUAL },
    recovers_within_s: 3.0,
    least_rate: 0.4,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("three reapers, which are killed and replaced");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.pass(dice.millis(300..1200)).await;
        drop(dice.one_of(&mut stage.members.reapers));
        stage.members.start_reaper()?;
        if dice.percent(30) {
            stage.kill_a_worker(dice)?;
        }
    }
    stage.heals();
    Ok(())
}
