//! Whether a transaction that stays open slows anything down: while its snapshot stands, no dead row can be cleared away.

use crate::{
    arguments::{Arguments, Pinned},
    lab::{Lab, Order},
    results::Results,
};
use anyhow::{Context as _, Result};
use sqlx::Executor as _;

pub(crate) const FREE: &str = "without";
pub(crate) const PINNED: &str = "with";

pub(crate) async fn measure(arguments: &Arguments, size: &Pinned) -> Result<Results> {
    let mut lab = Lab::open("pinned", arguments).await?;
    let order = Order::new("flow", 1).with(["--seconds", &size.seconds.to_string()]).without_costs();
    for _ in 0..size.rounds {
        lab.bench("leasehold", FREE, &order).await?;
        // Made here and not by the run: the snapshot stands before its first job.
        lab.servers.fresh().await?;
        let mut pin = lab.servers.connect().await?;
        pin.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        pin.execute("SELECT count(*) FROM pg_class").await.context("taking a snapshot")?;
        lab.bench("leasehold", PINNED, &order.clone().here()).await?;
        pin.execute("COMMIT").await.context("the open transaction did not stay open")?;
    }
    Ok(lab.results)
}
