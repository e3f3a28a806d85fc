//! **Fault**: Redis cannot be reached: connections are cut and refused. It keeps what it held, which goes stale.
//! **Window**: a minute.
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

pub(crate) const PLAN: Plan = Plan {
    // A tenth of the window, half of it in the short form: a heartbeat that waited for Redis would lose leases.
    shape: Shape { lease_ms: 6_000, ..Shape::USUAL },
    recovers_within_s: 3.0,
    least_rate: 0.3,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is away");
    let minute = stage.minute;
    stage.redis_way(Way::Shut, minute).await;
    stage.heals();
    Ok(())
}
