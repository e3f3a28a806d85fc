//! **Fault**: three reapers run at the same time. One of them is killed and replaced again and again, and workers are
//! killed too.
//! **Window**: 8 s.
//! **Heal**: no process is killed any more.
//! **Must hold**: three reapers have the same effect as one.
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
    rate_min: 0.4,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("three reapers run, and are killed and replaced");
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
