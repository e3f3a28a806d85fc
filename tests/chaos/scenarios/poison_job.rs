//! **Fault**: two jobs, one after the other, kill every worker that runs them.
//! **Window**: until both are dead.
//! **Heal**: they are dead, after `max_crashes` each.
//! **Must hold**: nobody else dies of it: the jobs that ran beside them finish.
//! **Converges within**: 5 s after the second is dead.
//! **Not covered**: a job that takes the machine down; two such jobs at once, beside which a third may by bad luck lose
//! three workers too.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

const POISON: usize = 2;
/// Three leases each, and what it takes to start workers in between.
const DEAD_WITHIN: Duration = Duration::from_secs(90);

pub(crate) const PLAN: Plan = Plan {
    // Six leases have to run out.
    shape: Shape { lease_ms: 2_000, ..Shape::USUAL },
    recovers_within_s: 5.0,
    dead: POISON,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("two jobs, one after the other, kill their workers");
    let mut postgres = stage.connect_postgres().await?;
    for _ in 0..POISON {
        let id = stage.load.poison().await?;
        let begun = Instant::now();
        let is_dead = "SELECT EXISTS (SELECT FROM leasehold.history WHERE state = 'dead' AND id = $1)";
        while !sqlx::query_scalar::<_, bool>(is_dead).bind(id).fetch_one(&mut postgres).await? {
            ensure!(begun.elapsed() < DEAD_WITHIN, "a job that kills its workers is not dead after {DEAD_WITHIN:?}");
            stage.pass(Duration::from_millis(100)).await;
        }
        stage.pass(dice.millis(0..500)).await;
    }
    stage.heals();
    Ok(())
}
