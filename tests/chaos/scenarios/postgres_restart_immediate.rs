//! **Fault**: PostgreSQL is stopped without a checkpoint, as by a crash, and started again; twice.
//! **Window**: it is away for up to 2 s each time.
//! **Heal**: it is there again.
//! **Must hold**: nothing acknowledged is lost; results are held and written after: no lease ends under a handler
//! whose worker lives. Only claims whose answer was lost with the server may burn an attempt.
//! **Converges within**: 5 s.
//! **Not covered**: the loss of power, since no disk loses anything here.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { lease_ms: 5_000, ..Shape::USUAL }, recovers_within_s: 5.0, most_taken: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("PostgreSQL is restarted");
    for again in [true, false] {
        stage.stop_postgres(true);
        stage.pass(dice.millis(0..2000)).await;
        stage.start_postgres()?;
        if again {
            stage.pass(dice.millis(1000..3000)).await;
        }
    }
    stage.heals();
    Ok(())
}
