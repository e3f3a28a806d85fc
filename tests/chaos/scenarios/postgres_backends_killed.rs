//! **Fault**: connections to PostgreSQL are lost: ended by the server; cut in the middle of a statement or of an answer;
//! cut after an enqueue or a settle was committed and before anyone is told, so that its outcome is unknown.
//! **Window**: 10 s, every 100 to 400 ms, and until some have been lost in the middle of something.
//! **Heal**: no more are lost.
//! **Must hold**: what was acknowledged is there once, what was refused is not there; a third of the rate is kept.
//! **Converges within**: 5 s.
//! **Not covered**: a pooler between the two.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{PATIENCE, Stage},
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Fewer connections lost in the middle of something show little.
const CUTS: u64 = 5;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, least_rate: 0.3, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to PostgreSQL are lost");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) || stage.to_postgres.cuts() <= CUTS {
        let cuts = stage.to_postgres.cuts();
        ensure!(begun.elapsed() < PATIENCE, "only {cuts} connections were lost in {PATIENCE:?}: this shows little");
        stage.pass(dice.millis(100..400)).await;
        stage.lose_connections(dice).await?;
    }
    stage.heals();
    Ok(())
}
