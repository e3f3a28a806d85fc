//! **Fault**: PostgreSQL answers but takes no writes, for many leases: `default_transaction_read_only` is on.
//! **Window**: a minute from the first refused call on.
//! **Heal**: PostgreSQL takes writes again.
//! **Must hold**: the same as while PostgreSQL is unavailable: during the fault no job is accepted, and clients get
//! errors; afterwards no live worker loses a lease. The check behind `/readyz` and doctor names the problem.
//! **Converges within**: 6 s.
//! **Not covered**: a failover to another server.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use leasehold::Config;
use leasehold_store::Store;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 6.0, live_leases_lost_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    let config = Config::new(&stage.stores.database.url, &stage.stores.redis.url);
    let Some(settings) = config.store_settings("a check from outside") else { anyhow::bail!("no URL of PostgreSQL") };
    let store = Store::connect(&settings).await?;
    stage.fault_begins("PostgreSQL takes no writes");
    set(stage, "ALTER SYSTEM SET default_transaction_read_only = on").await?;
    let (_, failed) = accepted_and_failed(stage);
    let begun = Instant::now();
    // The client makes one call at a time: after one call has failed, no earlier call can still be answered.
    while accepted_and_failed(stage).1 == failed {
        ensure!(begun.elapsed() < STEP_TIMEOUT, "no call of the client was refused within {STEP_TIMEOUT:?}");
        stage.pass(Duration::from_millis(50)).await;
    }
    let found = store.ping().await.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(found.contains("takes no writes"), "the check of PostgreSQL answered {found:?}");
    let (accepted, _) = accepted_and_failed(stage);
    stage.pass(stage.minute).await;
    let (accepted_meanwhile, _) = accepted_and_failed(stage);
    ensure!(accepted_meanwhile == accepted, "{} jobs were accepted without a write", accepted_meanwhile - accepted);
    set(stage, "ALTER SYSTEM RESET default_transaction_read_only").await?;
    stage.heals();
    store.close().await;
    Ok(())
}

async fn set(stage: &Stage, statement: &'static str) -> Result<()> {
    let mut admin = stage.connect_postgres().await?;
    sqlx::raw_sql(statement).execute(&mut admin).await?;
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut admin).await?;
    Ok(())
}

fn accepted_and_failed(stage: &Stage) -> (usize, u64) {
    let ledger = stage.load.ledger();
    (ledger.accepted.len(), ledger.failed_calls)
}
