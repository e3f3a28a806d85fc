//! **Fault**: Redis cannot be reached: connections are cut and refused. It keeps what it held, which goes stale.
//! **Window**: 12 s.
//! **Heal**: it can be reached again.
//! **Must hold**: the fleet goes on from PostgreSQL, at 30 % of its rate or more; no attempt is burned.
//! **Converges within**: 3 s.
//! **Not covered**: Redis away for one part of the fleet only.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use leasehold_tests::Way;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    // Half of the window: a heartbeat that waited for Redis would lose leases.
    shape: Shape { lease_ms: 6_000, ..Shape::USUAL },
    recovers_within_s: 3.0,
    least_rate: 0.3,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is away");
    stage.redis_way(Way::Shut, Duration::from_secs(12)).await;
    stage.heals();
    Ok(())
}
