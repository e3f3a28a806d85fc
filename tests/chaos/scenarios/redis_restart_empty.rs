//! **Fault**: Redis is killed and started again empty; twice.
//! **Window**: Redis is unavailable for 1 to 3 s each time.
//! **Heal**: Redis runs again, with no data.
//! **Must hold**: no attempt is burned; half of the rate is kept.
//! **Converges within**: 3 s.
//! **Not covered**: a start that takes minutes because of a large file.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { backlog: 1500, ..Shape::USUAL },
    recovers_within_s: 3.0,
    rate_min: 0.3,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is killed and started again empty");
    for again in [true, false] {
        stage.kill_redis();
        stage.pass(dice.millis(1000..3000)).await;
        stage.start_redis()?;
        if again {
            stage.pass(dice.millis(1000..3000)).await;
        }
    }
    stage.heals();
    Ok(())
}
