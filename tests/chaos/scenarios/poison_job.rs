//! **Fault**: two jobs, one after the other, kill every worker that runs them.
//! **Window**: until both jobs are dead.
//! **Heal**: each job is dead after `max_crashes` crashes.
//! **Must hold**: no other job dies: the jobs that ran at the same time finish.
//! **Converges within**: 5 s after the second job is dead.
//! **Not covered**: a job that takes down the machine; two such jobs at the same time, where by bad luck a third job
//! may lose three workers too.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

const POISON: usize = 2;
/// Three leases for each job, and the time to start workers in between.
const DEAD_WITHIN: Duration = Duration::from_secs(90);

pub(crate) const PLAN: Plan = Plan {
    // Six leases must run out.
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
