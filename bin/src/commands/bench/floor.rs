//! The floor: the minimum of work that any queue has, as the reference for comparisons.

use super::{
    Plan,
    figures::{Delays, Figures},
    meters::{Meters, failed},
};
use crate::failure::Failure;
use leasehold_bench::{Costs, Floor};

/// This number of single jobs gives a stable median; more jobs would only take longer.
const SINGLE_JOBS_MAX: u64 = 300;

/// Measures the whole floor: drain and flow with N jobs, latency with a few. The costs are the costs of the drain.
pub(crate) async fn measure(plan: &Plan) -> Result<(Figures, Option<Costs>), Failure> {
    let mut meters = Meters::open(plan, None).await?;
    let floor = open(plan).await?;
    meters.begin(&[]).await?;
    let drained = floor.drain(plan.jobs).await;
    meters.end(&[]).await?;
    floor.close().await.map_err(failed)?;
    let (enqueue_per_s, drain_per_s) = drained.map_err(failed)?;
    let costs = meters.costs(plan.jobs).await?;

    let floor = open(plan).await?;
    let flowed = floor.flow(plan.jobs).await;
    let delays_ms = floor.latency(plan.jobs.min(SINGLE_JOBS_MAX), plan.gap).await;
    floor.close().await.map_err(failed)?;
    let delays = Delays::of(&delays_ms.map_err(failed)?);
    Ok((Figures::Floor { enqueue_per_s, drain_per_s, flow_per_s: flowed.map_err(failed)?, delays }, costs))
}

async fn open(plan: &Plan) -> Result<Floor, Failure> {
    Floor::open(plan.database_url()?, plan.procs as usize).await.map_err(failed)
}
