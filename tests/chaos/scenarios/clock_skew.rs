//! **Fault**: wall clocks of workers are an hour ahead or an hour behind, and the clock of one worker is changed
//! repeatedly.
//! **Window**: 12 s. For the first half, two leases, the changed clock is behind, in the middle of a job that lasts as
//! long. Then it is changed every second.
//! **Heal**: none; the clocks stay wrong.
//! **Must hold**: the fault has no effect: no attempt is burned, no live worker loses a lease, and 60 % of the rate is
//! kept.
//! **Converges within**: 1 s.
//! **Not covered**: the clocks of the servers, which decide everything. The clocks of Redis and PostgreSQL are never
//! compared.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use leasehold_tests::{WrongClock, clock_errors};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(crate) const PLAN: Plan =
    Plan { recovers_within_s: 1.0, rate_min: 0.6, burned_max: 0, live_leases_lost_max: 0, ..Plan::USUAL };

const HOUR_S: i64 = 3600;
const HALF_AN_HOUR_MS: i64 = 1_800_000;

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let clock = |name, ahead_s| WrongClock::new(stage.folder(), name, ahead_s);
    let (ahead, behind, jumps) = (clock("ahead", HOUR_S), clock("behind", -HOUR_S), clock("jumps", 0));
    let mut pids = Vec::new();
    for clock in [&ahead, &behind, &jumps] {
        pids.push(stage.members.start_worker_by(clock)?);
        stage.until_at_work(&pids[pids.len() - 1..]).await?;
        stage.members.end_first().await?;
    }
    let long_ms = stage.lease_ms() * 2;
    while !is_started_by(stage, stage.load.long(long_ms).await?, pids[2]).await? {}
    stage.fault_begins("clocks are wrong by an hour, and one changes");
    jumps.set(-HOUR_S);
    stage.pass(Duration::from_millis(long_ms)).await;
    for _ in 0..6 {
        jumps.set(if dice.percent(50) { HOUR_S } else { -HOUR_S });
        stage.pass(Duration::from_secs(1)).await;
    }
    stage.heals();
    let errors = clock_errors(stage.log_path());
    let of = |nth: usize| errors.get(&pids[nth]).copied().unwrap_or_default();
    ensure!(
        of(0).0 > HALF_AN_HOUR_MS && of(1).1 < -HALF_AN_HOUR_MS && (of(2).0 < -HALF_AN_HOUR_MS || of(2).1 > HALF_AN_HOUR_MS),
        "the clocks were not as wrong as they should have been: {errors:?}"
    );
    Ok(())
}

/// Whether this process runs the job, once some process runs it.
async fn is_started_by(stage: &mut Stage, job: Uuid, pid: u32) -> Result<bool> {
    let since = Instant::now();
    loop {
        if let Some(line) = stage.log().iter().find(|line| line.id == job) {
            return Ok(line.pid == pid);
        }
        ensure!(since.elapsed() < STEP_TIMEOUT, "a job at the front of the line was not started");
        stage.pass(Duration::from_millis(20)).await;
    }
}
