//! **Fault**: a quarter of the jobs have limit keys. Workers are killed and frozen past their lease, reapers are killed, Redis is
//! emptied, and a limit is lowered and raised again.
//! **Window**: 12 s, one fault every 200 to 800 ms.
//! **Heal**: no more faults.
//! **Must hold**: no key ever has more live leases than its limit. PostgreSQL is asked all the time.
//! **Converges within**: the lease plus 2 s after each kill.
//! **Not covered**: rates, which the tests of the store cover; a restart of PostgreSQL, during which nobody can ask.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    limit_watch::{LimitWatch, Limits, exceeded, runs},
    load::CLUSTERS,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use sqlx::PgConnection;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { limited_percent: 25, max_crashes: 50, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 2.0,
    ..Plan::USUAL
};

const WINDOW: Duration = Duration::from_secs(12);
/// The limit of each cluster, and of all clusters together while the second limit is low.
const LIMIT: i64 = 3;
const OF_ALL: i64 = 6;
const OF_ALL_LOWERED: i64 = 4;

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut postgres = stage.connect_postgres().await?;
    set(&mut postgres, "cluster-*", LIMIT).await?;
    set(&mut postgres, "clusters", OF_ALL).await?;
    // The higher limit of all clusters must hold always: a lower one ends no run.
    let clusters = (0..CLUSTERS).map(|nth| (format!("cluster-{nth}"), LIMIT));
    let limits: Limits = clusters.chain([("clusters".to_owned(), OF_ALL)]).collect();
    // Runs that began without a limit continue.
    let begun = Instant::now();
    while !exceeded(&runs(&mut postgres).await?, &limits).is_empty() {
        ensure!(begun.elapsed() < STEP_TIMEOUT, "the runs from before the limits do not end");
        stage.pass(Duration::from_millis(50)).await;
    }
    let watch = LimitWatch::start(stage.stores.database.url.clone(), limits);
    stage.fault_begins("workers and reapers are killed and frozen, and Redis is emptied, while jobs have limits");
    let begun = Instant::now();
    let (mut nth, mut is_lowered) = (0_u32, false);
    while begun.elapsed() < WINDOW {
        stage.pass(dice.millis(200..800)).await;
        nth += 1;
        match nth % 5 {
            0 => drop(stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() + 500), dice).await?),
            1 | 2 => stage.kill_at(DeathPoint::Anywhere, dice).await?,
            3 => {
                let mut redis = stage.connect_redis().await?;
                redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
                stage.members.reapers.clear();
                stage.members.start_reaper()?;
            }
            _ => {
                is_lowered = !is_lowered;
                set(&mut postgres, "clusters", if is_lowered { OF_ALL_LOWERED } else { OF_ALL }).await?;
            }
        }
    }
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    watch.end().await?;
    stage.heals();
    Ok(())
}

async fn set(postgres: &mut PgConnection, key: &str, running: i64) -> Result<()> {
    sqlx::query("SELECT leasehold.set_limit($1, $2::integer)").bind(key).bind(running).execute(postgres).await?;
    Ok(())
}
