//! **Fault**: most jobs have fair keys. Workers are killed and frozen past their lease, reapers are killed while they admit, Redis is
//! emptied, weights are changed, keys are paused and resumed, and the keys become labels and shares again.
//! **Window**: 12 s, one fault every 200 to 800 ms.
//! **Heal**: no more faults; the queue is fair, and no key is paused.
//! **Must hold**: no job of a paused key starts after the answer to the pause. All jobs come out of their lanes.
//! **Converges within**: the lease plus 2 s after each kill.
//! **Not covered**: how even the shares are, which `tests/e2e/fair.rs` measures on a fleet without faults.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    load::TENANTS,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use sqlx::PgConnection;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { fair_percent: 80, max_crashes: 50, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

const WINDOW: Duration = Duration::from_secs(12);

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut postgres = stage.connect_postgres().await?;
    stage.fault_begins("workers and reapers are killed and frozen, and Redis is emptied, while keys share the queue");
    let begun = Instant::now();
    let (mut nth, mut pauses) = (0_u32, 0_u32);
    while begun.elapsed() < WINDOW {
        stage.pass(dice.millis(200..800)).await;
        let key = format!("tenant-{}", dice.number(0..TENANTS));
        nth += 1;
        match nth % 7 {
            0 => drop(stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() + 500), dice).await?),
            1 | 2 => stage.kill_at(DeathPoint::Anywhere, dice).await?,
            3 => {
                let mut redis = stage.connect_redis().await?;
                redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
                stage.members.reapers.clear();
                stage.members.start_reaper()?;
            }
            4 => {
                let weight = [0.5, 1.0, 3.0][dice.number(0..3)];
                let set = "SELECT count(*) FROM leasehold.set_fair_weight('default', $1, $2)";
                sqlx::query(set).bind(&key).bind(weight).execute(&mut postgres).await?;
            }
            5 => {
                pause(&mut postgres, stage, &key).await?;
                pauses += 1;
            }
            _ => {
                set_fair(&mut postgres, false).await?;
                stage.pass(Duration::from_millis(100)).await;
                set_fair(&mut postgres, true).await?;
            }
        }
    }
    ensure!(pauses > 1, "keys were paused {pauses} times");
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    stage.heals();
    Ok(())
}

async fn set_fair(postgres: &mut PgConnection, fair: bool) -> Result<()> {
    let set = "INSERT INTO leasehold.queue AS q (name, fair) VALUES ('default', $1)
               ON CONFLICT (name) DO UPDATE SET fair = excluded.fair";
    sqlx::query(set).bind(fair).execute(postgres).await?;
    Ok(())
}

/// Pauses a key for a while, and proves that none of its jobs starts meanwhile.
async fn pause(postgres: &mut PgConnection, stage: &mut Stage, key: &str) -> Result<()> {
    sqlx::query("SELECT leasehold.pause_fair_key('default', $1)").bind(key).execute(&mut *postgres).await?;
    let answered = "SELECT clock_timestamp()::text";
    let answered: String = sqlx::query_scalar(answered).fetch_one(&mut *postgres).await?;
    stage.pass(Duration::from_millis(400)).await;
    let late = "SELECT count(*) FROM leasehold.jobs WHERE fair_key = $1 AND started_at > $2::timestamptz";
    let late: i64 = sqlx::query_scalar(late).bind(key).bind(&answered).fetch_one(&mut *postgres).await?;
    ensure!(late == 0, "{late} jobs of {key} started after the answer to the pause");
    let resume = "DELETE FROM leasehold.pause WHERE queue = 'default' AND what = 'fair_key' AND name = $1";
    sqlx::query(resume).bind(key).execute(postgres).await?;
    Ok(())
}
