//! **Fault**: workers are killed with KILL, one at each place in a job's life: claimed and not begun; in the handler; the
//! handler ended and its result not written; the result written and its hint still leased. Another is started for each.
//! **Window**: until nothing is left of what they held. A victim is stopped (STOP) until it is known to be at its place.
//! **Heal**: none is needed.
//! **Must hold**: every job that a dead worker held is begun again by another, and every hint of a finished one is gone.
//! **Converges within**: the lease and 2 s, from each kill on.
//! **Not covered**: the death of the machine; a kill between a `BLMOVE` and its lease, which leaves no trace to aim by.

use crate::{
    dice::Dice,
    hands::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{PATIENCE, Stage},
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { max_crashes: 20, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers are killed, one at each place in a job's life");
    for place in [DeathPoint::Claim, DeathPoint::Handler, DeathPoint::Settle, DeathPoint::Ack] {
        stage.kill_at(place, dice).await?;
    }
    stage.until_all_taken_over(PATIENCE).await?;
    stage.heals();
    Ok(())
}
