//! **Fault**: a user's open transactions hold locks on waiting jobs at the front of the line and on running jobs.
//! **Window**: a minute, many leases long. In the middle a worker is replaced, as in a deploy.
//! **Heal**: the transactions are rolled back.
//! **Must hold**: 80 % of the rate is kept; no attempt is burned, and no lease of a healthy worker runs out; no
//! statement of the fleet keeps waiting for a lock at the server.
//! **Converges within**: 3 s.
//! **Not covered**: locks on whole tables.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};
use sqlx::PgConnection;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { lease_ms: 6_000, ..Shape::USUAL },
    recovers_within_s: 3.0,
    rate_min: 0.8,
    burned_max: 0,
    live_leases_lost_max: 0,
    ..Plan::USUAL
};

/// How many of the next waiting jobs, and how many of the running jobs, are locked.
const WAITING: i64 = 40;
const RUNNING: i64 = 8;
/// A statement of the fleet may wait for a lock for 50 ms; the server may be slow.
const WAITS_AT_MOST: Duration = Duration::from_secs(2);

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let (mut waiting, mut running) = (stage.connect_postgres().await?, stage.connect_postgres().await?);
    lock(&mut waiting, "queued", WAITING).await?;
    lock(&mut running, "running", RUNNING).await?;
    stage.fault_begins("waiting and running jobs are locked");
    let half = stage.minute / 2;
    stage.pass(half).await;
    no_statement_waits_for_a_lock(&mut waiting).await?;
    stage.members.start_worker()?;
    stage.members.end_first().await?;
    stage.pass(half + dice.millis(0..500)).await;
    no_statement_waits_for_a_lock(&mut waiting).await?;
    stage.heals();
    for transaction in [&mut waiting, &mut running] {
        sqlx::raw_sql("ROLLBACK").execute(transaction).await?;
    }
    Ok(())
}

/// Locks jobs in this state, the next jobs first, in a transaction that stays open.
async fn lock(transaction: &mut PgConnection, state: &str, count: i64) -> Result<()> {
    sqlx::raw_sql("BEGIN").execute(&mut *transaction).await?;
    let rows = sqlx::query(
        "SELECT id FROM leasehold.job WHERE state::text = $1 ORDER BY priority DESC, run_at, id LIMIT $2
         FOR UPDATE SKIP LOCKED",
    );
    let locked = rows.bind(state).bind(count).fetch_all(&mut *transaction).await?.len();
    ensure!(locked > 0, "found no job to lock that is {state}");
    Ok(())
}

async fn no_statement_waits_for_a_lock(connection: &mut PgConnection) -> Result<()> {
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND state = 'active' AND now() - query_start > $1",
    )
    .bind(WAITS_AT_MOST)
    .fetch_one(connection)
    .await?;
    ensure!(waiting == 0, "{waiting} statements still wait for locks at the server");
    Ok(())
}
