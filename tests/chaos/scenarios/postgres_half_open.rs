//! **Fault**: connections to PostgreSQL are half-open: all data is lost, and neither end is told.
//! **Window**: 6 s, two leases.
//! **Heal**: new connections work again; the old ones never do.
//! **Must hold**: no process waits for ever for an answer that cannot come: the fleet works again without a restart.
//! **Converges within**: 15 s.
//! **Not covered**: a machine that goes silent while the kernel at the other end keeps its connections for hours.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;
use leasehold_tests::LinkState;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 15.0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("connections to PostgreSQL are half-open");
    stage.to_postgres.set(LinkState::Silent);
    stage.pass(Duration::from_millis(stage.lease_ms() * 2)).await;
    stage.to_postgres.set(LinkState::Open);
    stage.heals();
    Ok(())
}
