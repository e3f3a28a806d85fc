//! **Fault**: Redis is killed, and comes back empty; twice.
//! **Window**: it is away for 1 to 3 s each time.
//! **Heal**: it is there, with nothing in it.
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
    least_rate: 0.3,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is killed, and comes back empty");
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
