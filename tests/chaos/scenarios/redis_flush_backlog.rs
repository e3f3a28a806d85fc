//! **Fault**: `FLUSHALL` with a line of 100,000 jobs, three times, with a head of the usual size. Nothing is enqueued
//! during the fault: new jobs would bring their own hints and keep the workers busy even if the line were stuck.
//! **Window**: 2 to 3 s between flushes.
//! **Heal**: none; the reaper fills the head again.
//! **Must hold**: no attempt is burned; the whole line is run in the end.
//! **Converges within**: 2 s after each flush as many slots are busy as before.
//! **Not covered**: a line that does not fit into the memory of PostgreSQL.

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
        // A few more, which are run before the last flush.
        backlog: QUEUED + 5_000,
        job_ms: (100, 300),
        ..Shape::USUAL
    },
    recovery: Recovery::Busy,
    recovery_threshold: 0.9,
    recovers_within_s: 2.0,
    burned_max: 0,
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
