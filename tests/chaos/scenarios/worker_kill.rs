//! **Fault**: one of the workers is killed with KILL, with full hands; another one is started in its place.
//! **Window**: once, at a moment of chance within 2 s: in a claim, in handlers, between a settle and its ack.
//! **Heal**: none is needed.
//! **Must hold**: every job that the dead worker held is begun again by another.
//! **Converges within**: the lease and 2 s, from the kill on.
//! **Not covered**: the death of the machine.

use crate::{
    dice::Dice,
    plan::{Plan, Recovery, Shape},
    stage::Stage,
};
use anyhow::Result;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("a worker is killed");
    stage.pass(dice.millis(0..2000)).await;
    stage.kill_a_worker(dice)?;
    stage.pass(Duration::from_millis(stage.lease_ms() + 2000)).await;
    stage.heals();
    Ok(())
}
