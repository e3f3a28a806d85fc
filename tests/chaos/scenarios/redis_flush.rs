//! **Fault**: `FLUSHALL` with a line of thousands, three times.
//! **Window**: 2 to 3 s between them.
//! **Heal**: none is needed: the head is filled again.
//! **Must hold**: no attempt is burned.
//! **Converges within**: 2 s until as many slots are busy as before, from each flush on.
//! **Not covered**: a flush of one database of several.

use crate::{
    dice::Dice,
    plan::{Plan, Recovery, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { backlog: 2500, lease_ms: 10_000, ..Shape::USUAL },
    recovery: Recovery::Busy,
    as_before: 0.9,
    recovers_within_s: 2.0,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is flushed, again and again");
    stage.flush_redis(3, dice).await?;
    stage.heals();
    Ok(())
}
