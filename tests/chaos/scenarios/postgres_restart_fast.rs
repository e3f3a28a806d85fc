//! **Fault**: PostgreSQL is stopped with a checkpoint and started again; twice.
//! **Window**: PostgreSQL is unavailable for up to 2 s each time.
//! **Heal**: PostgreSQL runs again.
//! **Must hold**: no acknowledged job is lost. Workers keep their results and write them afterwards, so no live worker
//! loses the lease of a running handler. Attempts are burned only by claims whose answer was lost with the server.
//! **Converges within**: 5 s.
//! **Not covered**: a power failure, because no disk loses data here.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { lease_ms: 5_000, ..Shape::USUAL }, recovers_within_s: 5.0, live_leases_lost_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("PostgreSQL is restarted");
    for again in [true, false] {
        stage.stop_postgres(false);
        stage.pass(dice.millis(0..2000)).await;
        stage.start_postgres()?;
        if again {
            stage.pass(dice.millis(1000..3000)).await;
        }
    }
    stage.heals();
    Ok(())
}
