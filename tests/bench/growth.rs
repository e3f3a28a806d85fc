//! How throughput and PostgreSQL's cost of a job go with the number of processes: each of them claims by itself.
//!
//! With Redis a worker is told which jobs are its own, and claims them by their ids. Without it, it looks for them in the
//! line, and passes over what others have locked (`FOR UPDATE SKIP LOCKED`), which is how queues on PostgreSQL alone work.
//! Both claim from the same table, and all else is the same.

use crate::{
    arguments::{Arguments, Growth},
    lab::{Lab, Order},
    results::Results,
};
use anyhow::Result;

/// With Redis.
pub(crate) const BY_ID: &str = "by id";
/// Without.
pub(crate) const SKIP_LOCKED: &str = "SKIP LOCKED";

pub(crate) async fn measure(arguments: &Arguments, size: &Growth) -> Result<Results> {
    let mut lab = Lab::open("growth", arguments).await?;
    for _ in 0..size.rounds {
        for procs in &size.procs {
            let order = Order::new("drain", size.n).processes(*procs, size.conc);
            lab.bench(BY_ID, &procs.to_string(), &order).await?;
            lab.bench(SKIP_LOCKED, &procs.to_string(), &order.with(["--without-redis"])).await?;
        }
    }
    Ok(lab.results)
}
