//! **Fault**: connections to Redis are half-open: all data is lost, and neither end is told.
//! **Window**: 8 s.
//! **Heal**: new connections work again; the old ones never do.
//! **Must hold**: the fleet notices, and continues from PostgreSQL with at least 30 % of its rate; no attempt is
//! burned. Hints that Redis handed to dead connections are found.
//! **Converges within**: 5 s.
//! **Not covered**: a machine that goes silent while the kernel at the other end keeps its connections for hours.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use leasehold_tests::LinkState;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 5.0, rate_min: 0.3, burned_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to Redis are half-open");
    stage.redis_link(LinkState::Silent, Duration::from_secs(8)).await;
    stage.heals();
    Ok(())
}
