//! **Fault**: connections to PostgreSQL are lost: ended by the server; cut in the middle of a statement or of an answer;
//! cut after an enqueue or a settle was committed and before anyone is told, so that its outcome is unknown.
//! **Window**: 10 s, every 100 to 400 ms.
//! **Heal**: no more are lost.
//! **Must hold**: what was acknowledged is there once, what was refused is not there; a third of the rate is kept.
//! **Converges within**: 5 s.
//! **Not covered**: a pooler between the two.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, least_rate: 0.3, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to PostgreSQL are lost");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        stage.pass(dice.millis(100..400)).await;
        stage.lose_connections(dice).await?;
    }
    stage.heals();
    ensure!(stage.to_postgres.cuts() > 5, "only {} connections were lost: this shows little", stage.to_postgres.cuts());
    Ok(())
}
