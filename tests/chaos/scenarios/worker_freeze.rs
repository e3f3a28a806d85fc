//! **Fault**: a worker that runs handlers is frozen (SIGSTOP).
//! **Window**: three leases, and until other workers have finished its jobs.
//! **Heal**: SIGCONT.
//! **Must hold**: other workers finish the jobs of the frozen worker; its late results are refused and counted.
//! **Converges within**: 3 s after the thaw.
//! **Not covered**: a freeze during a statement that the server has begun.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::{Result, bail};
use std::time::Duration;

/// A thawed worker learns of its lost leases at about the time when its handlers end. Sometimes all handlers are told
/// in time, and then there is no late result to refuse.
const TRIES: usize = 5;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, refused_min: 1, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("a worker is frozen past its lease");
    for _ in 0..TRIES {
        if stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() * 3), dice).await? {
            stage.heals();
            return Ok(());
        }
    }
    bail!("in {TRIES} freezes no handler ran to its end after the thaw: this proves nothing")
}
