//! **Fault**: three reapers fire twenty schedules, with a tick in every second. Reapers and workers are killed and replaced
//! again and again. Redis is emptied, and PostgreSQL is restarted without a shutdown.
//! **Window**: 12 s.
//! **Heal**: no process is killed any more.
//! **Must hold**: each tick of each schedule has exactly one job, and none is missing.
//! **Converges within**: 5 s.
//! **Not covered**: a clock that jumps; the tests of the reaper cover it.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};
use sqlx::PgConnection;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { reapers: 3, max_crashes: 20, ..Shape::USUAL },
    recovers_within_s: 5.0,
    ..Plan::USUAL
};

const SCHEDULES: i64 = 20;
const WINDOW: Duration = Duration::from_secs(12);
/// How long the reapers may take to fire the ticks that they missed.
const CATCH_UP: Duration = Duration::from_secs(60);

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    for nth in 0..SCHEDULES {
        stage.load.every_second(&format!("schedule-{nth}")).await?;
    }
    stage.fault_begins("reapers fire schedules, and are killed and replaced");
    let begun = Instant::now();
    let (mut flushed, mut restarted) = (false, false);
    while begun.elapsed() < WINDOW {
        stage.pass(dice.millis(200..900)).await;
        drop(dice.one_of(&mut stage.members.reapers));
        stage.members.start_reaper()?;
        if dice.percent(30) {
            stage.kill_a_worker(dice)?;
        }
        if begun.elapsed() > WINDOW / 3 && !std::mem::replace(&mut flushed, true) {
            let mut redis = stage.connect_redis().await?;
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
        if begun.elapsed() > WINDOW / 2 && !std::mem::replace(&mut restarted, true) {
            stage.stop_postgres(true);
            stage.pass(dice.millis(0..1000)).await;
            stage.start_postgres()?;
        }
    }
    stage.heals();
    let mut postgres = stage.connect_postgres().await?;
    let expected = SCHEDULES * i64::try_from(WINDOW.as_secs())?;
    let begun = Instant::now();
    loop {
        let (fired, late): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM leasehold.schedule_tick),
                    (SELECT count(*) FROM leasehold.schedule WHERE next_at < now() - interval '1 second')",
        )
        .fetch_one(&mut postgres)
        .await?;
        if fired >= expected && late == 0 {
            break;
        }
        ensure!(begun.elapsed() < CATCH_UP, "{fired} of {expected} ticks have fired, {late} schedules are late");
        stage.pass(Duration::from_millis(100)).await;
    }
    sqlx::query("UPDATE leasehold.schedule SET paused_at = now(), next_at = NULL").execute(&mut postgres).await?;
    let jobs = jobs_of_ticks(&mut postgres).await?;
    stage.load.ledger().accepted.extend(jobs);
    Ok(())
}

/// The job of each tick. Fails if two ticks have the same job, or if a tick between two others is missing.
async fn jobs_of_ticks(postgres: &mut PgConnection) -> Result<BTreeSet<Uuid>> {
    let all: Vec<Uuid> = sqlx::query_scalar("SELECT job FROM leasehold.schedule_tick").fetch_all(&mut *postgres).await?;
    let jobs: BTreeSet<Uuid> = all.iter().copied().collect();
    ensure!(jobs.len() == all.len(), "{} ticks have {} jobs", all.len(), jobs.len());
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT schedule || ' has ' || count(*) || ' ticks in ' || max(tick) - min(tick)
         FROM leasehold.schedule_tick GROUP BY schedule
         HAVING count(*) <> extract(epoch FROM max(tick) - min(tick)) + 1",
    )
    .fetch_all(postgres)
    .await?;
    ensure!(missing.is_empty(), "ticks are missing: {}", missing.join("; "));
    Ok(jobs)
}
