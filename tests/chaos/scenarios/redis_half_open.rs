//! **Fault**: connections to Redis are dead without a word: what is sent is lost, and neither end is told.
//! **Window**: 8 s.
//! **Heal**: new connections carry again; those of before never do.
//! **Must hold**: the fleet notices, and goes on from PostgreSQL at 30 % of its rate or more; no attempt is burned. What
//! Redis handed to dead connections is found.
//! **Converges within**: 5 s.
//! **Not covered**: a machine that goes silent while the kernel at the other end keeps its connections for hours.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use leasehold_tests::Way;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, least_rate: 0.3, most_burned: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to Redis are half open");
    stage.redis_way(Way::Silent, Duration::from_secs(8)).await;
    stage.heals();
    Ok(())
}
