//! **Fault**: a worker is stopped in its tracks (STOP) with full hands.
//! **Window**: three leases, so that others have run its jobs when it goes on.
//! **Heal**: CONT.
//! **Must hold**: what the frozen worker had in hand is finished by others; its late results are refused, and counted.
//! **Converges within**: 3 s, from the thaw on.
//! **Not covered**: a freeze within a statement that the server has begun.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::{Result, ensure};
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, least_refused: 1, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("a worker is frozen past its lease");
    stage.pass(dice.millis(0..500)).await;
    let pid = stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() * 3), dice).await;
    stage.heals();
    ensure!(was_overtaken(stage, pid), "nothing that the frozen worker held was run again: this shows nothing");
    Ok(())
}

/// Whether a job that this process began was begun again under a later claim.
fn was_overtaken(stage: &Stage, pid: u32) -> bool {
    let log = stage.log();
    let overtaken = log.iter().filter(|line| line.pid == pid);
    overtaken.into_iter().any(|line| log.iter().any(|later| later.id == line.id && later.epoch > line.epoch))
}
