//! **Fault**: `FLUSHALL` with a line of thousands, three times.
//! **Window**: 1 to 2 s between them.
//! **Heal**: none is needed: the head is filled again.
//! **Must hold**: no attempt is burned.
//! **Converges within**: 2 s until workers are as busy as before, from the last flush on.
//! **Not covered**: a flush of one database of several.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { backlog: 2500, ..Shape::USUAL },
    recovers_within_s: 2.0,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    stage.fault_begins("Redis is flushed, again and again");
    for _ in 0..3 {
        stage.pass(dice.millis(1000..2000)).await;
        redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    }
    stage.heals();
    Ok(())
}
