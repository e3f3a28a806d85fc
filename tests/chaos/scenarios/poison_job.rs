//! **Fault**: two jobs kill every worker that runs them.
//! **Window**: until both are dead.
//! **Heal**: they are dead, after `max_crashes` each.
//! **Must hold**: nobody else dies of it: the jobs that ran beside them finish.
//! **Converges within**: 5 s after the second is dead.
//! **Not covered**: a job that takes the machine down.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

const POISON: usize = 2;
/// Three leases each, and what it takes to start workers in between.
const DEAD_WITHIN: Duration = Duration::from_secs(45);

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, dead: POISON, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("two jobs kill their workers");
    let mut ids = Vec::new();
    for _ in 0..POISON {
        ids.push(stage.load.poison().await?);
        stage.pass(dice.millis(0..1500)).await;
    }
    let mut postgres = stage.connect_postgres().await?;
    let begun = Instant::now();
    loop {
        let dead: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE state = 'dead' AND id = ANY ($1)")
            .bind(&ids)
            .fetch_one(&mut postgres)
            .await?;
        if usize::try_from(dead) == Ok(POISON) {
            break;
        }
        ensure!(begun.elapsed() < DEAD_WITHIN, "only {dead} of {POISON} are dead after {DEAD_WITHIN:?}");
        stage.pass(Duration::from_millis(100)).await;
    }
    stage.heals();
    Ok(())
}
