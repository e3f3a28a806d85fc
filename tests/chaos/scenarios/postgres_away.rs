//! **Fault**: PostgreSQL is stopped for many leases.
//! **Window**: a minute from the first refused call on.
//! **Heal**: PostgreSQL is started again.
//! **Must hold**: during the fault no job is accepted, and clients get errors. Afterwards no live worker loses a lease:
//! the workers write the results that they kept. Attempts are burned only by claims whose answer was lost with the
//! server.
//! **Converges within**: 6 s.
//! **Not covered**: workers that die during the outage.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 6.0, live_leases_lost_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("PostgreSQL is away");
    stage.stop_postgres(false);
    let (_, failed) = accepted_and_failed(stage);
    let begun = Instant::now();
    // The client makes one call at a time: after one call has failed, no earlier call can still be answered.
    while accepted_and_failed(stage).1 == failed {
        ensure!(begun.elapsed() < STEP_TIMEOUT, "no call of the client was refused within {STEP_TIMEOUT:?}");
        stage.pass(Duration::from_millis(50)).await;
    }
    let (accepted, _) = accepted_and_failed(stage);
    stage.pass(stage.minute).await;
    let (accepted_meanwhile, _) = accepted_and_failed(stage);
    ensure!(accepted_meanwhile == accepted, "{} jobs were accepted without PostgreSQL", accepted_meanwhile - accepted);
    stage.start_postgres()?;
    stage.heals();
    Ok(())
}

fn accepted_and_failed(stage: &Stage) -> (usize, u64) {
    let ledger = stage.load.ledger();
    (ledger.accepted.len(), ledger.failed_calls)
}
