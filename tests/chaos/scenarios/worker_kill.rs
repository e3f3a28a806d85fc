//! **Fault**: workers are killed with SIGKILL, one at each point in a job's life: claimed but not started; in the
//! handler; handler ended but result not written; result written but hint still leased. Each worker is replaced.
//! **Window**: until the killed workers hold nothing any more. A victim is stopped (SIGSTOP) first, to know its point.
//! **Heal**: none is needed.
//! **Must hold**: another worker starts every job that a dead worker held, and every hint of a finished job is gone.
//! **Converges within**: the lease plus 2 s after each kill.
//! **Not covered**: the death of the machine; a kill between a `BLMOVE` and its lease, which cannot be seen from
//! outside.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { max_crashes: 20, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers are killed, one at each point in a job's life");
    for place in [DeathPoint::Claim, DeathPoint::Handler, DeathPoint::Settle, DeathPoint::Ack] {
        stage.kill_at(place, dice).await?;
    }
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    stage.heals();
    Ok(())
}
