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
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use sqlx::PgConnection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

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
    // Runs that began without a limit go on.
    let begun = Instant::now();
    while !exceeded(&mut postgres, OF_ALL).await?.is_empty() {
        ensure!(begun.elapsed() < STEP_TIMEOUT, "the runs from before the limits do not end");
        stage.pass(Duration::from_millis(50)).await;
    }
    let watch = Watch::start(stage.connect_postgres().await?);
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
    let (reads, full) = watch.end().await?;
    ensure!(reads > 50 && full > 0, "PostgreSQL was asked {reads} times, and {full} times a key was full");
    stage.heals();
    Ok(())
}

async fn set(postgres: &mut PgConnection, key: &str, running: i64) -> Result<()> {
    sqlx::query("SELECT leasehold.set_limit($1, $2::integer)").bind(key).bind(running).execute(postgres).await?;
    Ok(())
}

/// The keys that have more runs than their limit. A run counts until its row says that it has ended, also when its lease is over.
async fn exceeded(postgres: &mut PgConnection, of_all: i64) -> Result<Vec<(String, i64)>> {
    let query = "SELECT k.key, count(*) FROM leasehold.job j CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
                 WHERE j.state = 'running' GROUP BY 1 HAVING count(*) > CASE WHEN k.key = 'clusters' THEN $1 ELSE $2 END";
    Ok(sqlx::query_as(query).bind(of_all).bind(LIMIT).fetch_all(postgres).await?)
}

/// Asks PostgreSQL all the time how many runs each key has.
struct Watch {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Result<(u64, u64)>>,
}

impl Watch {
    fn start(mut postgres: PgConnection) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            let (mut reads, mut full) = (0, 0);
            while !ends.load(Ordering::Relaxed) {
                // The limit of all clusters is lowered meanwhile, which ends no run: the higher limit must hold always.
                let found = exceeded(&mut postgres, OF_ALL).await?;
                ensure!(found.is_empty(), "too many runs: {found:?}");
                let query = "SELECT count(*) FROM leasehold.job WHERE state = 'running' AND 'clusters' = ANY (limit_keys)";
                let runs: i64 = sqlx::query_scalar(query).fetch_one(&mut postgres).await?;
                reads += 1;
                full += u64::from(runs >= OF_ALL_LOWERED);
            }
            Ok((reads, full))
        });
        Self { is_over, task }
    }

    /// How often PostgreSQL was asked, and how often the key of all clusters was full.
    async fn end(self) -> Result<(u64, u64)> {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await?
    }
}
