//! **Fault**: PostgreSQL answers and takes no writes, for many leases: `default_transaction_read_only` is on.
//! **Window**: a minute from the first refused call on.
//! **Heal**: it takes writes again.
//! **Must hold**: as while PostgreSQL is away: nothing is accepted meanwhile, and clients are told so; afterwards no lease of
//! a worker that is alive is ended. The check behind `/readyz` and doctor says what is wrong.
//! **Converges within**: 6 s.
//! **Not covered**: a failover to another server.

use crate::{
    dice::Dice,
    plan::Plan,
    stage::{PATIENCE, Stage},
};
use anyhow::{Result, ensure};
use leasehold::Config;
use leasehold_store::Store;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 6.0, most_taken: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    let config = Config::new(&stage.stores.database.url, &stage.stores.redis.url);
    let Some(settings) = config.store_settings("a check from outside") else { anyhow::bail!("no URL of PostgreSQL") };
    let store = Store::connect(&settings).await?;
    stage.fault_begins("PostgreSQL takes no writes");
    set(stage, "ALTER SYSTEM SET default_transaction_read_only = on").await?;
    let (_, failed) = told(stage);
    let begun = Instant::now();
    // The client makes one call at a time: once one has failed, none is under way that was answered before.
    while told(stage).1 == failed {
        ensure!(begun.elapsed() < PATIENCE, "no call of the client was refused within {PATIENCE:?}");
        stage.pass(Duration::from_millis(50)).await;
    }
    let found = store.ping().await.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(found.contains("takes no writes"), "the check of PostgreSQL says {found:?}");
    let (accepted, _) = told(stage);
    stage.pass(stage.minute).await;
    let (accepted_meanwhile, _) = told(stage);
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

fn told(stage: &Stage) -> (usize, u64) {
    let ledger = stage.load.ledger();
    (ledger.accepted.len(), ledger.failed_calls)
}
