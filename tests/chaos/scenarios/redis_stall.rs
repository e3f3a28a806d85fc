//! **Fault**: Redis keeps its connections, takes new ones, and answers nothing on any.
//! **Window**: 8 s.
//! **Heal**: it answers everything that it was asked meanwhile, late.
//! **Must hold**: the fleet notices, and goes on from PostgreSQL at 30 % of its rate or more; no attempt is burned.
//! **Converges within**: 5 s.
//! **Not covered**: a stall of one connection of many.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use leasehold_tests::Way;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, least_rate: 0.3, most_burned: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis answers nothing");
    stage.redis_way(Way::Stalled, Duration::from_secs(8)).await;
    stage.heals();
    Ok(())
}
