//! `leasehold queue scale`: how many slots a queue could use, and how many workers this needs.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, queues},
};
use leasehold::QueueName;

/// More workers than any fleet has.
const REPLICAS_MAX: i64 = 1_000_000;

/// Show how many slots a queue could use now, and how many workers these are: what autoscalers read
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the queue. A queue that was never used has the demand 0
    queue: QueueName,
    /// The slots of one worker for this queue [default: as live workers have them]
    #[arg(long, value_name = "N", value_parser = numbers::within::<u64>(1..=10_000))]
    slots_per_replica: Option<u64>,
    /// The fewest workers to suggest
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::within::<u64>(0..=REPLICAS_MAX))]
    min: u64,
    /// The most workers to suggest
    #[arg(long, value_name = "N", value_parser = numbers::within::<u64>(0..=REPLICAS_MAX))]
    max: Option<u64>,
}

pub(super) async fn show(args: Args, context: &Context) -> Result<(), Failure> {
    let Args { queue, slots_per_replica, min, max } = args;
    if max.is_some_and(|max| max < min) {
        return Err(Failure::usage("--max is less than --min"));
    }
    let client = context.client().await?;
    let demand = client.demand(&[queue]).await.map_err(|error| context.failure(&error))?;
    for demand in demand {
        let slots = slots_per_replica.map(|slots| slots as f64).or(demand.slots_per_worker());
        let suggested_replicas = leasehold_core::suggested_replicas(demand.demand, slots, min, max);
        let scale = queues::Scale { demand, suggested_replicas };
        output::either(context.json, &scale, || queues::scale(&scale))?;
    }
    Ok(())
}
