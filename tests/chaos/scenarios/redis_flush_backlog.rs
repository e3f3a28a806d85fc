//! **Fault**: `FLUSHALL` with a line of 100,000, three times, at a head of the usual size. Nothing is enqueued meanwhile: new
//! jobs would bring their hints along and keep the workers busy, whatever became of the line.
//! **Window**: 2 to 3 s between them.
//! **Heal**: none is needed: the head is filled again.
//! **Must hold**: no attempt is burned; all of the line is run in the end.
//! **Converges within**: 2 s until as many slots are busy as before, from each flush on.
//! **Not covered**: a line that PostgreSQL cannot keep in its memory.

use crate::{
    dice::Dice,
    plan::{Plan, Recovery, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};

const QUEUED: usize = 100_000;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape {
        workers: 4,
        slots: 16,
        lease_ms: 10_000,
        head_max: 4096,
        // A little more, which is done until the last flush.
        backlog: QUEUED + 5_000,
        job_ms: (100, 300),
        ..Shape::USUAL
    },
    recovery: Recovery::Busy,
    as_before: 0.9,
    recovers_within_s: 2.0,
    most_burned: 0,
    ..Plan::USUAL
};

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("Redis is flushed, again and again");
    ensure!(stage.queued_at_fault >= QUEUED, "only {} jobs are queued", stage.queued_at_fault);
    stage.load.pause();
    stage.flush_redis(3, dice).await?;
    stage.heals();
    Ok(())
}
