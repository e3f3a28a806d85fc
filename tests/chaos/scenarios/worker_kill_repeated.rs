//! **Fault**: workers are killed with KILL one after the other, each replaced at once.
//! **Window**: 8 s, one every 300 to 900 ms, each while it holds jobs; then until nothing is left of what they held.
//! **Heal**: they are left alone.
//! **Must hold**: every job that a dead worker held is begun again by another.
//! **Converges within**: the lease and 2 s, from each kill on.
//! **Not covered**: jobs that use up their crashes by this, which end dead: here they have more.

use crate::{
    dice::Dice,
    hands::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{PATIENCE, Stage},
};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { max_crashes: 50, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers are killed one after the other");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.pass(dice.millis(300..900)).await;
        stage.kill_at(DeathPoint::Anywhere, dice).await?;
    }
    stage.until_all_taken_over(PATIENCE).await?;
    stage.heals();
    Ok(())
}
