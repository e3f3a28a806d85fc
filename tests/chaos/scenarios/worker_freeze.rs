//! **Fault**: a worker is stopped in its tracks (STOP) with full hands.
//! **Window**: three leases, and until others have run its jobs to their end.
//! **Heal**: CONT.
//! **Must hold**: what the frozen worker had in hand is finished by others; its late results are refused, and counted.
//! **Converges within**: 3 s, from the thaw on.
//! **Not covered**: a freeze within a statement that the server has begun.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::{Result, bail};
use std::time::Duration;

/// A thawed worker learns of its lost leases and ends its handlers at the same moment; only sometimes all of them are told
/// in time, and then there is no late result to refuse.
const TRIES: usize = 5;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, least_refused: 1, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("a worker is frozen past its lease");
    for _ in 0..TRIES {
        if stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() * 3), dice).await? {
            stage.heals();
            return Ok(());
        }
    }
    bail!("in {TRIES} freezes no handler came to its end after the thaw: this shows nothing")
}
