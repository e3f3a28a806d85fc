//! **Fault**: Redis is unreachable: connections are cut and refused, for 64 worker processes that claim at the same
//! time.
//! **Window**: 15 s.
//! **Heal**: Redis is reachable again.
//! **Must hold**: the fleet continues from PostgreSQL with at least 30 % of its rate: 64 workers that claim from the
//! front of one line do not wait for each other. Jobs are so short that claims limit the rate. No attempt is burned.
//! **Converges within**: 3 s.
//! **Not covered**: 64 workers on as many processors.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use leasehold_tests::LinkState;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    // A lease that 64 processes on few processors can renew in time.
    shape: Shape {
        workers: 64,
        slots: 1,
        lease_ms: 10_000,
        head_max: 4096,
        backlog: 6_000,
        job_ms: (1, 10),
        ..Shape::USUAL
    },
    recovers_within_s: 3.0,
    rate_min: 0.3,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is unreachable for 64 workers");
    stage.redis_link(LinkState::Shut, Duration::from_secs(15)).await;
    stage.heals();
    Ok(())
}
