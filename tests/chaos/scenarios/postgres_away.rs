//! **Fault**: PostgreSQL is stopped for many leases.
//! **Window**: a minute from the first refused call on.
//! **Heal**: it is started again.
//! **Must hold**: nothing is accepted meanwhile, and clients are told so; afterwards no lease of a worker that is alive is
//! ended: results that were held are written. Only claims whose answer was lost with the server may burn an attempt.
//! **Converges within**: 6 s.
//! **Not covered**: workers that die during the outage.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{PATIENCE, Stage},
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 6.0, most_taken: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("PostgreSQL is away");
    stage.stop_postgres(false);
    let (_, failed) = told(stage);
    let begun = Instant::now();
    // The client makes one call at a time: once one has failed, none is under way that was answered before.
    while told(stage).1 == failed {
        ensure!(begun.elapsed() < PATIENCE, "no call of the client was refused within {PATIENCE:?}");
        stage.pass(Duration::from_millis(50)).await;
    }
    let (accepted, _) = told(stage);
    stage.pass(stage.minute).await;
    let (accepted_meanwhile, _) = told(stage);
    ensure!(accepted_meanwhile == accepted, "{} jobs were accepted without PostgreSQL", accepted_meanwhile - accepted);
    stage.start_postgres()?;
    stage.heals();
    Ok(())
}

fn told(stage: &Stage) -> (usize, u64) {
    let ledger = stage.load.ledger();
    (ledger.accepted.len(), ledger.failed_calls)
}
