//! **Fault**: workers are killed with SIGKILL one after the other, and each is replaced at once.
//! **Window**: 8 s, one kill every 300 to 900 ms, each of a worker that holds jobs; then until the killed workers hold
//! nothing any more.
//! **Heal**: no more kills.
//! **Must hold**: another worker starts every job that a dead worker held.
//! **Converges within**: the lease plus 2 s after each kill.
//! **Not covered**: jobs that reach their crash limit and end dead: here the limit is higher.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
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
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    stage.heals();
    Ok(())
}
