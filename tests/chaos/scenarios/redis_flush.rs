//! **Fault**: `FLUSHALL` with a line of thousands of jobs, three times.
//! **Window**: 2 to 3 s between flushes.
//! **Heal**: none; the reaper fills the head again.
//! **Must hold**: no attempt is burned.
//! **Converges within**: 2 s after each flush as many slots are busy as before.
//! **Not covered**: a flush of only one of several databases.

use crate::{
    dice::Dice,
    plan::{Plan, Recovery, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { backlog: 2500, lease_ms: 10_000, ..Shape::USUAL },
    recovery: Recovery::Busy,
    recovery_threshold: 0.9,
    recovers_within_s: 2.0,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is flushed, again and again");
    stage.flush_redis(3, dice).await?;
    stage.heals();
    Ok(())
}
