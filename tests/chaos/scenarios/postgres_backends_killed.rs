//! **Fault**: connections to PostgreSQL are lost: ended by the server; cut in the middle of a statement or of an
//! answer; cut after an enqueue or a settle was committed and before the client got the answer, so that the outcome is
//! unknown.
//! **Window**: 10 s, every 100 to 400 ms, and until some connections were lost in the middle of something.
//! **Heal**: no more connections are lost.
//! **Must hold**: an acknowledged job exists once, a refused job does not exist; 30 % of the rate is kept.
//! **Converges within**: 5 s.
//! **Not covered**: a pooler between the fleet and PostgreSQL.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Fewer connections lost in the middle of something prove little.
const CUTS: u64 = 5;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, rate_min: 0.3, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to PostgreSQL are lost");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) || stage.to_postgres.cuts() <= CUTS {
        let cuts = stage.to_postgres.cuts();
        ensure!(begun.elapsed() < STEP_TIMEOUT, "only {cuts} connections were lost in {STEP_TIMEOUT:?}: this proves little");
        stage.pass(dice.millis(100..400)).await;
        stage.lose_connections(dice).await?;
    }
    stage.heals();
    Ok(())
}
