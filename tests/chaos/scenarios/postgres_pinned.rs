//! **Fault**: a transaction stays open, so that PostgreSQL cannot remove dead rows.
//! **Window**: 20 s, some thousands of jobs.
//! **Heal**: the transaction ends.
//! **Must hold**: 90 % of the rate is kept; no attempt is burned.
//! **Converges within**: 1 s.
//! **Not covered**: a transaction that stays open for hours.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use sqlx::Connection as _;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { job_ms: (20, 60), ..Shape::USUAL },
    recovers_within_s: 1.0,
    rate_min: 0.9,
    burned_max: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    let mut connection = stage.connect_postgres().await?;
    let mut pin = connection.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *pin).await?;
    sqlx::query("SELECT txid_current()").execute(&mut *pin).await?;
    stage.fault_begins("a transaction stays open");
    stage.pass(Duration::from_secs(20)).await;
    stage.heals();
    pin.rollback().await?;
    Ok(())
}
