//! Throughput and PostgreSQL's cost of a job by number of processes. Each process claims for itself.
//!
//! With Redis, a worker gets ids of jobs and claims the jobs by id. Without Redis, a worker searches the line and skips
//! rows that others have locked (`FOR UPDATE SKIP LOCKED`), as queues that only use PostgreSQL do. Both use the same
//! table, and everything else is the same.

use crate::{
    arguments::{Arguments, Growth},
    lab::{Lab, RunSpec},
    results::Results,
};
use anyhow::Result;

/// With Redis.
pub(crate) const BY_ID: &str = "by id";
/// Without Redis.
pub(crate) const SKIP_LOCKED: &str = "SKIP LOCKED";

pub(crate) async fn measure(arguments: &Arguments, size: &Growth) -> Result<Results> {
    let mut lab = Lab::open("growth", arguments).await?;
    for _ in 0..size.rounds {
        for procs in &size.procs {
            let spec = RunSpec::new("drain", size.n).processes(*procs, size.conc);
            lab.bench(BY_ID, &procs.to_string(), &spec).await?;
            lab.bench(SKIP_LOCKED, &procs.to_string(), &spec.with(["--without-redis"])).await?;
        }
    }
    Ok(lab.results)
}
