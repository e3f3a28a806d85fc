//! Whether a transaction that stays open slows anything down: while its snapshot is held, PostgreSQL cannot remove dead
//! rows.

use crate::{
    arguments::{Arguments, Pinned},
    lab::{Lab, RunSpec},
    results::Results,
};
use anyhow::{Context as _, Result};
use sqlx::Executor as _;

pub(crate) const FREE: &str = "without";
pub(crate) const PINNED: &str = "with";

pub(crate) async fn measure(arguments: &Arguments, size: &Pinned) -> Result<Results> {
    let mut lab = Lab::open("pinned", arguments).await?;
    let spec = RunSpec::new("flow", 1).with(["--seconds", &size.seconds.to_string()]).without_costs();
    for _ in 0..size.rounds {
        lab.bench("leasehold", FREE, &spec).await?;
        // The database is created here and not by the run, so that the snapshot is older than the first job.
        lab.servers.fresh().await?;
        let mut pin = lab.servers.connect().await?;
        pin.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        pin.execute("SELECT count(*) FROM pg_class").await.context("taking a snapshot")?;
        lab.bench("leasehold", PINNED, &spec.clone().on_current_database()).await?;
        pin.execute("COMMIT").await.context("closing the open transaction")?;
    }
    Ok(lab.results)
}
