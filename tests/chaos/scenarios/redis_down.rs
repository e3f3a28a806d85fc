//! **Fault**: Redis is unreachable: connections are cut and refused. Redis keeps its data, which goes stale.
//! **Window**: a minute.
//! **Heal**: Redis is reachable again.
//! **Must hold**: the fleet continues from PostgreSQL with at least 30 % of its rate; no attempt is burned.
//! **Converges within**: 3 s.
//! **Not covered**: Redis unreachable for only a part of the fleet.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use leasehold_tests::LinkState;

pub(crate) const PLAN: Plan = Plan {
    // A tenth of the window, or half of it in the short form: a heartbeat that waited for Redis would lose leases.
    shape: Shape { lease_ms: 6_000, ..Shape::USUAL },
    recovers_within_s: 3.0,
    rate_min: 0.3,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is unreachable");
    let minute = stage.minute;
    stage.redis_link(LinkState::Shut, minute).await;
    stage.heals();
    Ok(())
}
