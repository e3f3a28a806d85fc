//! **Fault**: half of the jobs depend on others. Workers are killed with SIGKILL one after the other, and each is replaced at
//! once. The reaper is killed in between.
//! **Window**: 8 s, one kill every 300 to 900 ms; then until the killed workers hold nothing any more.
//! **Heal**: no more kills.
//! **Must hold**: each job runs if and only if the ends of its parents say so, and never before they have ended.
//! **Converges within**: the lease plus 2 s after each kill.
//! **Not covered**: parents that fail, which the tests of the store cover; graphs of many thousand jobs.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { dependent_percent: 50, max_crashes: 50, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers and the reaper are killed while jobs depend on each other");
    let begun = Instant::now();
    let mut kills = 0_u32;
    while begun.elapsed() < Duration::from_secs(8) {
        stage.pass(dice.millis(300..900)).await;
        stage.kill_at(DeathPoint::Anywhere, dice).await?;
        kills += 1;
        if kills.is_multiple_of(4) {
            stage.members.reapers.clear();
            stage.members.start_reaper()?;
        }
    }
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    stage.heals();
    Ok(())
}
