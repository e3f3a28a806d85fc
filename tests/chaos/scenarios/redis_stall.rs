//! **Fault**: Redis keeps its connections, accepts new ones, and answers on none of them.
//! **Window**: 8 s.
//! **Heal**: Redis answers every command that it got during the fault, late.
//! **Must hold**: the fleet notices, and continues from PostgreSQL with at least 30 % of its rate; no attempt is
//! burned.
//! **Converges within**: 5 s.
//! **Not covered**: a stall of only one connection.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use leasehold_tests::LinkState;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, rate_min: 0.3, burned_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis answers nothing");
    stage.redis_link(LinkState::Stalled, Duration::from_secs(8)).await;
    stage.heals();
    Ok(())
}
